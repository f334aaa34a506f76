"""`make` alone shows what there is, and every way in is there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = {"demo", "test", "night", "races", "up", "down", "check", "bench", "chaos", "lock", "help"}


def test_help_is_the_default_and_lists_every_target():
    said = subprocess.check_output(["make"], cwd=ROOT, text=True)
    assert set(re.findall(r"^  make (\w+)", said, flags=re.MULTILINE)) == TARGETS


@pytest.mark.parametrize("target", sorted(TARGETS - {"help"}))
def test_every_target_builds_the_environment_first(target):
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(rf"^{target}: \$\(READY\)", makefile, flags=re.MULTILINE)


def test_ci_runs_the_checks_and_the_tests():
    script = ROOT / ".ci" / "run"
    assert script.stat().st_mode & 0o111
    lines = [line for line in script.read_text().splitlines() if line.startswith("make")]
    assert lines == ["make check", "make test", "make night"]
