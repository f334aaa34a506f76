"""The import rules of pyproject.toml hold, cover every package, and would catch who breaks them."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
RULES = PROJECT["tool"]["importlinter"]
CLIENT = Path("clients/python/shelfwise_client")  # a package of its own, not of the platform


def lint(place):
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    env = {**os.environ, "PYTHONPATH": f"{place}{os.pathsep}{place / CLIENT.parent}", "COLUMNS": "300"}
    done = subprocess.run(command, cwd=place, env=env, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


def test_they_hold():
    code, said = lint(ROOT)
    assert code == 0, said


def test_every_package_is_covered():
    packages = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert set(RULES["root_packages"]) == packages | {CLIENT.name}
    assert {name.partition(".")[0] for name in PROJECT["tool"]["setuptools"]["packages"]} == packages
    assert set(PROJECT["tool"]["mypy"]["packages"]) == packages | {CLIENT.name}
    layers = next(rule for rule in RULES["contracts"] if rule["type"] == "layers")["layers"]
    assert {name.strip() for layer in layers for name in layer.split("|")} == packages - {"commerce_core"}


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    place = tmp_path_factory.mktemp("rules") / "copy"
    for package in {*map(Path, RULES["root_packages"]), CLIENT} - {Path(CLIENT.name)}:
        shutil.copytree(ROOT / package, place / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", place)
    return place


@pytest.mark.parametrize(
    ("module", "line", "rule"),
    [
        ("contracts/extra.py", "import features.extra", "all share contracts"),
        ("features/extra.py", "import pipelines.lake", "all share contracts"),
        ("pipelines/extra.py", "import serving.settings", "all share contracts"),
        ("serving/extra.py", "import pipelines.settings", "all share contracts"),
        ("serving/extra.py", "import pandas", "Serving stays light"),
        ("serving/extra.py", "import models.extra", "Serving stays light"),
        ("commerce_core/extra.py", "import contracts.tables", "The shop knows nothing"),
        ("pipelines/extra.py", "import commerce_core.settings", "over HTTP only"),
        ("models/extra.py", "import redis", "do no I/O"),
        ("contracts/extra.py", "import numpy", "plain Python"),
        ("pipelines/extra.py", "import mlflow", "mlflow only through"),
        ("shelfwise/extra.py", "import mlflow.tracking", "mlflow only through"),
        ("pipelines/extra.py", "import airflow", "airflow only in dags"),
        (f"{CLIENT}/extra.py", "import serving.schemas", "The client stands alone"),
    ],
)
def test_who_breaks_them_is_caught(copy, module, line, rule):
    extra = copy / module
    heavy = copy / "models" / "extra.py"
    below = copy / "features" / "extra.py"
    try:
        below.write_text("")
        heavy.write_text("import scipy\n")
        extra.write_text(f"{line}\n")
        code, said = lint(copy)
    finally:
        for file in (extra, heavy, below):
            file.unlink(missing_ok=True)
    assert code == 1
    broken = [row for row in said.splitlines() if " BROKEN" in row]
    assert [row for row in broken if rule in row], said
