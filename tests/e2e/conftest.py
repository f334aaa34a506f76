"""A whole local stack in a directory of its own, driven by the command line as a user would."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from shelfwise.local.stack import Stack
from shelfwise.settings import StackSettings

COMMAND_S = 800
NOTEBOOKS = [path.stem for path in Path("notebooks").glob("*.py")]


@dataclass(frozen=True)
class Shelfwise:
    """The stack's address book, and `shelfwise …` run against it."""

    env: dict[str, str]

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "shelfwise", *words]
        env = {**os.environ, **self.env}
        return subprocess.run(command, env=env, capture_output=True, text=True, timeout=COMMAND_S, check=False)

    def __call__(self, *words: str) -> Any:
        """The report that the command printed; its output in the failure when it did not end well."""
        done = self.run(*words)
        assert done.returncode == 0, f"shelfwise {' '.join(words)}\n{done.stdout[-3000:]}\n{done.stderr[-6000:]}"
        return json.loads(done.stdout)

    def notebook(self, name: str) -> str:
        """What the notebook prints when it is run from top to bottom."""
        env = {**os.environ, **self.env, "PYTHONPATH": "."}
        command = [sys.executable, f"notebooks/{name}.py"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=COMMAND_S, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def ask(self, path: str, **query: Any) -> dict[str, Any]:
        """What serving answers."""
        return httpx.get(self.env["SERVING_URL"] + path, params=query, timeout=10).raise_for_status().json()


@pytest.fixture(scope="module")
def shelfwise(stack_root, free_port, request) -> Iterator[Shelfwise]:
    """PostgreSQL, Redis, core, serving and MLflow, empty, for this test module."""
    data_dir = Path(stack_root) / request.module.__name__.rpartition(".")[2]
    settings = StackSettings(
        data_dir=data_dir,
        core_port=free_port(),
        serving_port=free_port(),
        mlflow_port=free_port(),
        redis_port=free_port(),
        serving_workers=1,
    )
    with Stack(settings) as stack:
        yield Shelfwise({**settings.environment(), **stack.env})
