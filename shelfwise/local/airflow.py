"""Airflow without a wizard: scheduler, DAG processor and API server over a SQLite file, running the DAGs of `dags/`."""

import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from shelfwise.local.processes import Service, StartError, running

DAGS = Path(__file__).resolve().parents[2] / "dags"


class EmbeddedAirflow:
    """`with EmbeddedAirflow(home, port, stack.env) as airflow: airflow.url`: two tasks at a time, no login."""

    def __init__(self, home: Path, port: int, env: Mapping[str, str]) -> None:
        self.home = home.resolve()
        self.url = f"http://127.0.0.1:{port}"
        self.env = {
            **env,  # where the lake, the shop, Redis and MLflow are
            "AIRFLOW_HOME": str(self.home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "AIRFLOW__CORE__PARALLELISM": "2",  # each worker is a fork that holds every import
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "true",  # loopback only
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(port),
            "AIRFLOW__API__WORKERS": "1",
        }
        self._running = ExitStack()

    def __enter__(self) -> Self:
        self.home.mkdir(parents=True, exist_ok=True)
        self.command("db", "migrate")
        with self._running as stack:
            for service in self.services():
                stack.enter_context(running(service, timeout_s=120))
            self._running = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.close()

    def command(self, *words: str) -> str:
        """Run one `airflow` command; what it printed. StartError when it fails."""
        done = subprocess.run(
            [sys.executable, "-m", "airflow", *words],
            env={**os.environ, **self.env},
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise StartError(f"airflow {' '.join(words)} failed\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
        return done.stdout

    def services(self) -> list[Service]:
        """How to run its three servers; the API server first, for the others talk to it."""
        return [
            self._service("api-server", self._answers),
            self._service("dag-processor", lambda: True),
            self._service("scheduler", lambda: True),
        ]

    def _service(self, component: str, ready: Callable[[], bool]) -> Service:
        return Service(
            name=f"airflow {component}",
            command=[sys.executable, "-m", "airflow", component],
            log=self.home / f"{component}.log",
            ready=ready,
            env=self.env,
            url=self.url,
        )

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/api/v2/version", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
