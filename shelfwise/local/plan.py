"""Which servers make up the local stack, in the order of their start, and what each needs."""

import http.client
import os
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from shelfwise.local import environment
from shelfwise.local.ports import HOST, listen
from shelfwise.local.postgres import EmbeddedPostgres
from shelfwise.local.processes import Service
from shelfwise.local.redis import EmbeddedRedis
from shelfwise.settings import StackSettings

NAMES = ("postgres", "redis", "mlflow", "core", "serving")
DATABASE = "shop"


@dataclass(frozen=True)
class Planned:
    """A server and the names of those that must answer before it is started."""

    service: Service
    needs: tuple[str, ...] = ()
    once_ready: Callable[[], object] = lambda: None


def plan(settings: StackSettings, only: Collection[str] = NAMES) -> list[Planned]:
    """The servers to run. Takes the ports, writes stack.env; StartError when a port is somebody else's."""
    data = settings.data_dir.resolve()
    postgres = EmbeddedPostgres(data / "postgres")
    redis = EmbeddedRedis(data / "redis", settings.redis_port)
    # A shell that has read our own stack.env does not thereby ask for somebody else's database.
    own_postgres = settings.database_url in ("", postgres.url(DATABASE))
    own_redis = settings.redis_url in ("", redis.url)
    database_url = postgres.url(DATABASE) if own_postgres else settings.database_url
    redis_url = redis.url if own_redis else settings.redis_url
    env = environment.write(settings, database_url, redis_url)

    planned: list[Planned] = []
    if "postgres" in only and own_postgres:
        planned.append(Planned(postgres.prepare(), once_ready=lambda: postgres.ensure_database(DATABASE)))
    if "redis" in only and own_redis:
        planned.append(Planned(redis.prepare()))
    running = {member.service.name for member in planned}
    if "mlflow" in only:
        planned.append(Planned(_mlflow(settings)))
    if "core" in only:
        needs = ("postgres",) if "postgres" in running else ()
        planned += [
            Planned(service, needs) for service in _web("core", "commerce_core.app:app", settings.core_port, env)
        ]
    if "serving" in only:
        needs = ("redis",) if "redis" in running else ()
        port, workers = settings.serving_port, settings.serving_workers
        planned += [
            Planned(service, needs) for service in _web("serving", "serving.app:app", port, env, workers=workers)
        ]
    logs = data / "logs"
    return [replace(p, service=replace(p.service, log=logs / f"{p.service.name}.log")) for p in planned]


def _web(name: str, app: str, port: int, env: dict[str, str], *, workers: int = 1) -> list[Service]:
    server = listen(port, name, f"{name.upper()}_PORT")
    fd = os.dup(server.fileno())  # stays open as long as we live: children come and go
    server.close()
    migrate = ["--migrate"] if name == "core" else []
    command = [sys.executable, "-m", "shelfwise.local.web", app, "--fd", str(fd), *migrate]
    return [
        Service(
            name=name if workers == 1 else f"{name}.{number}",
            command=command,
            log=Path(),
            ready=lambda: _answers(port, "/health"),
            env=env,
            pass_fds=[fd],
            url=f"http://{HOST}:{port}",
        )
        for number in range(1, workers + 1)
    ]


def _mlflow(settings: StackSettings) -> Service:
    place = settings.data_dir.resolve() / "mlflow"
    place.mkdir(parents=True, exist_ok=True)
    port = settings.mlflow_port
    listen(port, "mlflow", "MLFLOW_PORT").close()
    return Service(
        name="mlflow",
        command=[
            *(sys.executable, "-m", "mlflow", "server"),
            *("--host", HOST, "--port", str(port), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{place / 'mlflow.db'}"),
            *("--artifacts-destination", str(place / "artifacts")),
            *("--allowed-hosts", f"{HOST}:{port},localhost:{port}"),
        ],
        log=Path(),
        ready=lambda: _answers(port, "/health"),
        env={"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        url=f"http://{HOST}:{port}",
    )


def _answers(port: int, path: str) -> bool:
    link = http.client.HTTPConnection(HOST, port, timeout=0.5)
    try:
        link.request("GET", path)
        return link.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        link.close()
