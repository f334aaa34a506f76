"""A real commerce core for the steps to read: uvicorn over an empty PostgreSQL, and a few orders to put into it."""

import asyncio
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from pipelines.settings import Settings
from shelfwise.local.processes import Service, running

TOKEN = "not-a-secret-in-tests"
KEYS = f"test:{'A' * 43}"  # of the shop's access tokens


@dataclass(frozen=True)
class Core:
    """A commerce core that answers at `url`, and its database."""

    url: str
    database_url: str

    def sql(self, *statements: str) -> None:
        async def run() -> None:
            connection = await asyncpg.connect(self.database_url)
            try:
                for statement in statements:
                    await connection.execute(statement)
            finally:
                await connection.close()

        asyncio.run(run())

    def settings(self, lake_uri: str) -> Settings:
        return _settings(lake_uri, self.url)


def _settings(lake_uri: str, core_url: str) -> Settings:
    return Settings(
        lake_uri=lake_uri,
        core_url=core_url,
        service_token=TOKEN,
        redis_url="redis://127.0.0.1:1/0",
        mlflow_tracking_uri=f"sqlite:///{lake_uri}.mlflow.db",
    )


@pytest.fixture
def settings(lake_uri) -> Settings:
    """Settings over an empty lake, with no shop to reach."""
    return _settings(lake_uri, "http://127.0.0.1:1")


@pytest.fixture(scope="module")
def core(shop_url, free_port, stack_root) -> Iterator[Core]:
    """A core over an empty shop, for this test module."""
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    service = Service(
        name="core",
        command=[sys.executable, "-m", "uvicorn", "commerce_core.app:app", "--factory", "--port", str(port)],
        log=Path(stack_root) / f"core-{port}.log",
        ready=lambda: _answers(f"{url}/ready"),
        env={"DATABASE_URL": shop_url, "SERVICE_TOKEN": TOKEN, "SIGNING_KEYS": KEYS},
    )
    with running(service, timeout_s=60):
        yield Core(url, shop_url)


def _answers(url: str) -> bool:
    try:
        return urllib.request.urlopen(url, timeout=5).status == 200
    except (urllib.error.URLError, OSError):
        return False


# Two products, one shopper and, from 1 January 2017 on, three days: 40 orders of two lines on the first, 10 on the
# second, none on the third. Each order is placed and completed on its day.
SMALL_SHOP = """
insert into products (product_id, source, external_id, name, price_minor, list_price_minor, currency)
    select ('00000000-0000-8000-8000-00000000000' || n)::uuid, 'test', n::text, 'Product ' || n, 90, 100, 'USD'
    from generate_series(1, 2) n;
insert into product_versions (product_id, valid_from, name) select product_id, '2017-01-01', name from products;
insert into price_history (product_id, valid_from, list_price_minor, price_minor, currency, source)
    select product_id, '2017-01-01 08:00+00', 100, 90, 'USD', 'catalog' from products;
insert into users (user_id, source, external_id) values ('00000000-0000-8000-8000-0000000000aa', 'test', '1');
insert into orders (source, external_id, user_id, channel, currency, total_minor, status, placed_at)
    select 'test', n::text, '00000000-0000-8000-8000-0000000000aa', 'web', 'USD', 180, 'completed',
           n * interval '1 second' + case when n <= 40 then timestamptz '2017-01-01 23:00+00'
                                          else timestamptz '2017-01-02 00:00+00' end
    from generate_series(1, 50) n;
insert into order_lines (order_id, line_no, product_id, quantity, list_total_minor, shelf_total_minor, paid_total_minor)
    select order_id, n, ('00000000-0000-8000-8000-00000000000' || n)::uuid, 1, 100, 90, 90
    from orders, generate_series(1, 2) n;
insert into order_status_history (order_id, at, status, actor)
    select order_id, placed_at, step, 'test' from orders, unnest(array['placed', 'completed']) step;
insert into promotions (product_id, kind, place, channels, starts_on, ends_on, source)
    values ('00000000-0000-8000-8000-000000000001', 'display', '1', '{web}', '2017-01-01', '2017-01-08', 'test');
insert into clicks (day, event_id, user_id, product_id, kind, ts, received_at)
    select '2017-01-02', uuidv7(), '00000000-0000-8000-8000-0000000000aa', '00000000-0000-8000-8000-000000000001',
           'view', '2017-01-02 01:00+00', '2017-01-02 01:00:01+00'
    from generate_series(1, 7);
"""


@pytest.fixture(scope="module")
def small_shop(core) -> Core:
    """The core with the rows of SMALL_SHOP."""
    core.sql(SMALL_SHOP)
    return core
