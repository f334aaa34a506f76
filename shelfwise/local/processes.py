"""Child processes that do not outlive us: start one, wait until it answers, end it, find what a killed parent left."""

import ctypes
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

PR_SET_PDEATHSIG = 1
MARKER = "SHELFWISE_STACK"  # an environment variable that every process of one stack carries: how leftovers are known


class StartError(Exception):
    """A server of the local stack could not be started; the message says why."""


@dataclass(frozen=True)
class Service:
    """What must be known to run one server in the foreground and to tell whether it answers."""

    name: str
    command: Sequence[str]
    log: Path
    ready: Callable[[], bool]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None  # only for root: the account to run as
    stop_signal: signal.Signals = signal.SIGTERM
    pass_fds: Sequence[int] = ()
    url: str = ""  # where people find it


def start(service: Service, *, outlives_us: bool = False) -> subprocess.Popen[bytes]:
    """Start the server as our child, its output appended to its log.

    Linux ends it when the thread that called this is gone, however that came to be: call it from one that stays.
    """
    service.log.parent.mkdir(parents=True, exist_ok=True)
    parent = os.getpid()
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def die_with_parent() -> None:
        if libc is not None and not outlives_us:
            libc.prctl(PR_SET_PDEATHSIG, int(service.stop_signal))
            if os.getppid() != parent:  # it died between fork and prctl
                os._exit(1)

    with service.log.open("ab") as log, warnings.catch_warnings():
        # From 3.12 on, a fork with threads around warns; the function above only makes two system calls.
        warnings.simplefilter("ignore", DeprecationWarning)
        return subprocess.Popen(
            service.command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            env={**os.environ, **service.env},
            pass_fds=service.pass_fds,
            preexec_fn=die_with_parent,
            start_new_session=True,  # Ctrl-C at the terminal is ours to pass on, in order
            user=service.user,
            group=service.user,
            extra_groups=[] if service.user else None,
        )


def stop(process: subprocess.Popen[bytes], service: Service, *, timeout_s: float = 30) -> None:
    """End a server and everything that it started: asked first, killed when it does not listen."""
    try:
        family = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
    except psutil.NoSuchProcess:
        family = []
    with suppress(ProcessLookupError):
        process.send_signal(service.stop_signal)
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    end(family, timeout_s=5)


def wait_ready(process: subprocess.Popen[bytes], service: Service, *, timeout_s: float) -> None:
    """Return once the server answers; StartError with the end of its log when it stops or stays silent."""
    deadline = time.monotonic() + timeout_s
    while not service.ready():
        if process.poll() is not None:
            raise StartError(f"{service.name} ended with status {process.returncode}\n{tail(service.log)}")
        if time.monotonic() > deadline:
            raise StartError(f"{service.name} did not answer within {timeout_s:.0f} s\n{tail(service.log)}")
        time.sleep(0.05)


@contextmanager
def running(service: Service, *, timeout_s: float) -> Iterator[subprocess.Popen[bytes]]:
    """The server, answering, for as long as the block lasts."""
    process = start(service)
    try:
        wait_ready(process, service, timeout_s=timeout_s)
        yield process
    finally:
        stop(process, service)


def tail(log: Path, lines: int = 20) -> str:
    """The last lines of a log, indented to be read inside a message."""
    try:
        text = log.read_text(errors="replace").splitlines()[-lines:]
    except FileNotFoundError:
        text = []
    return "\n".join([f"  the end of {log}:", *(f"  | {line}" for line in text)]) if text else f"  {log} is empty"


def marked(stack: str) -> list[psutil.Process]:
    """Processes that carry this stack's marker, ourselves left out. A reused pid is never mistaken for one of them."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARKER) == stack:
                found.append(process)
    return found


def end(processes: Sequence[psutil.Process], *, timeout_s: float) -> None:
    """Ask them to end, kill those that have not after the timeout. psutil refuses a pid that now is someone else."""
    for process in processes:
        with suppress(psutil.Error):
            process.terminate()
    for process in _outlasting(processes, timeout_s):
        with suppress(psutil.Error):
            process.kill()
    _outlasting(processes, 5)


def _outlasting(processes: Sequence[psutil.Process], timeout_s: float) -> list[psutil.Process]:
    """Those that still run after the timeout. A zombie has ended, though nobody may ever collect it in a container."""

    def alive(process: psutil.Process) -> bool:
        with suppress(psutil.NoSuchProcess):
            return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
        return False

    deadline = time.monotonic() + timeout_s
    while (left := [process for process in processes if alive(process)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    return left
