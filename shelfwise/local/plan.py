"""Which servers make up the local stack, in the order of their start, and what each needs."""

import os
import shutil
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path

from shelfwise.local import environment
from shelfwise.local.ports import HOST, Probe, listen
from shelfwise.local.postgres import EmbeddedPostgres
from shelfwise.local.processes import Service
from shelfwise.local.redis import EmbeddedRedis
from shelfwise.settings import StackSettings

FOLLOWERS = {
    "relay": "commerce_core.outbox",
    "consumers": "commerce_core.consumers",
    "sessions": "serving.sessions",
    "archive": "pipelines.archive",
    "refresh": "pipelines.follow_catalog",
    "books": "pipelines.follow_book",
}
NAMES = ("postgres", "redis", "mlflow", "core", "serving", *FOLLOWERS)
DATABASE = "shop"


@dataclass(frozen=True)
class Planned:
    """A server and the names of those that must answer before it is started."""

    service: Service
    needs: tuple[str, ...] = ()
    once_ready: Callable[[], object] = lambda: None
    awaited: bool = True  # before the stack counts as up; who asks earlier waits at the open socket


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
        planned.append(
            Planned(
                replace(postgres.prepare(), url=database_url), once_ready=lambda: postgres.ensure_database(DATABASE)
            )
        )
    if "redis" in only and own_redis:
        planned.append(Planned(redis.prepare()))
    stores = {member.service.name for member in planned}
    if "core" in only:
        services = _web("core", "commerce_core.app:app", settings.core_port, env, "--migrate")
        planned += [Planned(service, tuple(stores & {"postgres"})) for service in services]
    if "serving" in only:
        workers = settings.serving_workers
        metrics = {"PROMETHEUS_MULTIPROC_DIR": str(_empty(data / "run" / "metrics"))} if workers > 1 else {}
        services = _web("serving", "serving.app:app", settings.serving_port, env | metrics, workers=workers)
        planned += [Planned(service, tuple(stores & {"redis"})) for service in services]
    for name, module in FOLLOWERS.items():
        if name in only:
            planned.append(Planned(_follower(name, module, env), tuple(sorted(stores))))
    if "mlflow" in only:  # last and on its own: it takes as long to start as the others together
        others = tuple(member.service.name for member in planned)
        planned += [Planned(service, others, awaited=not others) for service in _mlflow(settings)]
    logs = data / "logs"
    return [replace(p, service=replace(p.service, log=logs / f"{p.service.name}.log")) for p in planned]


def _web(name: str, app: str, port: int, env: dict[str, str], *options: str, workers: int = 1) -> list[Service]:
    server = listen(port, name, f"{name.upper()}_PORT")
    fd = os.dup(server.fileno())  # stays open as long as we live: children come and go
    server.close()
    command = [sys.executable, "-m", "shelfwise.local.web", app, "--fd", str(fd), *options]
    return [
        Service(
            name=name if workers == 1 else f"{name}.{number}",
            command=command,
            log=Path(),
            ready=Probe(port, "/ready" if name == "core" else "/health"),  # serving's /ready awaits a publication
            env=env,
            pass_fds=[fd],
            url=f"http://{HOST}:{port}",
        )
        for number in range(1, workers + 1)
    ]


def _follower(name: str, module: str, env: dict[str, str]) -> Service:
    """A process that nobody asks anything: it waits by itself for what it reads, a missing schema included."""
    return Service(name=name, command=[sys.executable, "-m", module], log=Path(), ready=lambda: True, env=env)


def _mlflow(settings: StackSettings) -> list[Service]:
    """MLflow's server as one process. Its own command line is a second one that takes as long again to start; what it
    would pass on are these variables (mlflow.server.constants)."""
    place = settings.data_dir.resolve() / "mlflow"
    place.mkdir(parents=True, exist_ok=True)
    port = settings.mlflow_port
    env = {
        "_MLFLOW_SERVER_FILE_STORE": f"sqlite:///{place / 'mlflow.db'}",
        "_MLFLOW_SERVER_ARTIFACT_ROOT": "mlflow-artifacts:/",
        "_MLFLOW_SERVER_ARTIFACT_DESTINATION": str(place / "artifacts"),
        "_MLFLOW_SERVER_SERVE_ARTIFACTS": "true",
        "MLFLOW_SERVER_ALLOWED_HOSTS": f"{HOST}:{port},localhost:{port}",
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    return _web("mlflow", "mlflow.server.fastapi_app:app", port, env, "--instance")


def _empty(directory: Path) -> Path:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    return directory
