"""Real servers for the tests: one PostgreSQL, one Redis and one Spark per session, each started when first asked for.

They are always our own, in a directory of their own, whatever DATABASE_URL or REDIS_URL say: tests drop and flush.
"""

import itertools
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from shelfwise.local.postgres import EmbeddedPostgres
from shelfwise.local.redis import EmbeddedRedis

VARIABLES = ("DATABASE_URL", "REDIS_URL", "SERVICE_TOKEN", "CORE_URL", "LAKE_URI", "MLFLOW_TRACKING_URI", "DATA_DIR")
VARIABLES += ("EXPOSURES_SECRET", "SIGNING_KEYS", "QUOTE_KEY", "QUOTE_KEYS")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def stack_root() -> Iterator[Path]:
    """A directory for this session's servers. Not pytest's own: that is closed to PostgreSQL's account."""
    root = Path(tempfile.mkdtemp(prefix="shelfwise-tests-"))
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A port that nobody listens on just now."""

    def find() -> int:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            return probe.getsockname()[1]

    return find


@pytest.fixture(scope="session")
def postgres_server(stack_root) -> Iterator[EmbeddedPostgres]:
    with EmbeddedPostgres(stack_root / "postgres", durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_database(postgres_server) -> Callable[[], str]:
    """A function: the URL of a new, empty database at every call. Gone with the session."""
    numbers = itertools.count(1)
    return lambda: postgres_server.create_database(f"test_{next(numbers)}")


@pytest.fixture(scope="module")
def postgres_url(postgres_database) -> str:
    """An empty database for this test module."""
    return postgres_database()


@pytest.fixture(scope="session")
def shop_database(postgres_server) -> Callable[[], str]:
    """A function: the URL of a new shop's database at every call. Only the first is migrated, the others copy it."""
    from commerce_core.migrate import upgrade

    upgrade(postgres_server.create_database("migrated"))
    numbers = itertools.count(1)
    return lambda: postgres_server.create_database(f"shop_{next(numbers)}", template="migrated")


@pytest.fixture(scope="module")
def shop_url(shop_database) -> str:
    """The database of a shop without a row, for this test module."""
    return shop_database()


@pytest.fixture(scope="session")
def redis_server(stack_root, free_port) -> Iterator[EmbeddedRedis]:
    with EmbeddedRedis(stack_root / "redis", free_port(), durable=False) as server:
        yield server


@pytest.fixture
def redis_url(redis_server) -> str:
    """An empty Redis."""
    from redis import Redis

    with Redis.from_url(redis_server.url) as client:
        client.flushall()
    return redis_server.url


@pytest.fixture
def lake_uri(tmp_path) -> str:
    """A folder for an empty lake."""
    return str(tmp_path / "lake")


@pytest.fixture(scope="session")
def spark(stack_root):
    """The Spark session that the steps use, on two cores."""
    from pipelines.settings import Settings
    from pipelines.spark import session

    settings = Settings(
        lake_uri=str(stack_root / "lake"),
        core_url="http://127.0.0.1:1",
        service_token="not-a-secret-in-tests",
        redis_url="redis://127.0.0.1:1/0",
        mlflow_tracking_uri=str(stack_root / "mlflow"),
        spark_master="local[2]",
        spark_driver_memory="2g",
    )
    running = session(settings)
    yield running
    running.stop()
