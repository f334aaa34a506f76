"""House rules on files that no linter knows."""

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOLD_ALL = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
GENERATED = {"requirements.lock", "docs/DATA.md"}


def files(*patterns):
    """Tracked files, and new ones that are about to be."""
    listed = subprocess.check_output(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns], cwd=ROOT, text=True
    )
    return [Path(name) for name in listed.splitlines() if (ROOT / name).is_file()]


def test_no_python_file_is_longer_than_400_lines():
    long = {str(path): n for path in files("*.py") if (n := len((ROOT / path).read_text().splitlines())) > 400}
    assert not long


def test_package_files_are_empty():
    assert not [path for path in files("*/__init__.py") if (ROOT / path).read_text().strip()]


def test_no_module_is_named_after_nothing():
    named = [path for path in files("*.py") if HOLD_ALL & {path.stem, *path.parent.parts}]
    assert not named


def test_no_dag_file_bears_a_packages_name():
    packages = {path.parent.name for path in files("*/__init__.py")}
    assert not [path for path in files("dags/*.py") if path.stem in packages]


def test_dag_files_stay_thin():
    thick = {str(path): n for path in files("dags/*.py") if (n := len((ROOT / path).read_text().splitlines())) > 40}
    assert not thick


def test_the_data_page_is_current():
    from shelfwise import docs

    assert docs.PAGE.read_text() == docs.page(), "run `shelfwise docs`"
