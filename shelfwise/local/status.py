"""What the supervisor says about itself, in a file that `status`, `down` and a second `up` read."""

import json
import os
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import psutil

Phase = Literal["starting", "running", "stopping", "stopped", "failed"]
State = Literal["waiting", "starting", "running", "restarting", "stopped"]


@dataclass
class ServiceStatus:
    """One server, as of its last change."""

    name: str
    state: State
    url: str
    log: str
    pid: int | None = None
    restarts: int = 0
    since: float = 0.0  # unix seconds of the last change of state
    seconds: float = 0.0  # from start to first answer


@dataclass
class Status:
    """The supervisor and its servers."""

    pid: int
    created: float  # when that process began: a pid alone may have been given to somebody else since
    phase: Phase = "starting"
    error: str = ""
    services: list[ServiceStatus] = field(default_factory=list)

    @classmethod
    def ours(cls) -> "Status":
        return cls(os.getpid(), psutil.Process().create_time())

    def process(self) -> psutil.Process | None:
        """The living supervisor, None when it is gone."""
        with suppress(psutil.Error):
            process = psutil.Process(self.pid)
            same = abs(process.create_time() - self.created) < 2 and process.status() != psutil.STATUS_ZOMBIE
            return process if same else None
        return None


def status_file(data_dir: Path) -> Path:
    return data_dir.resolve() / "run" / "status.json"


def write(status: Status, data_dir: Path) -> None:
    file = status_file(data_dir)
    file.parent.mkdir(parents=True, exist_ok=True)
    new = file.with_suffix(".new")
    new.write_text(json.dumps(asdict(status), indent=1))
    new.replace(file)


def read(data_dir: Path) -> Status | None:
    """The last that a supervisor wrote, None when there never was one."""
    try:
        known = json.loads(status_file(data_dir).read_text())
    except FileNotFoundError:
        return None
    services = [ServiceStatus(**service) for service in known.pop("services")]
    return Status(**known, services=services)
