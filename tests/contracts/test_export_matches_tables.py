"""The shop's export and the platform's contracts are written apart; here they are held against each other."""

from typing import get_args

import httpx
import pyarrow as pa
import pytest

from commerce_core.app import create_app
from commerce_core.events.schemas import Click
from commerce_core.export.tables import EXPORTS
from commerce_core.orders.schemas import Status
from commerce_core.settings import Settings
from contracts import raw, tables

TOKEN = "a-token-for-tests-only"
ARROW = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "bool": pa.bool_(),
    "date": pa.date32(),
    "timestamp": pa.timestamp("us", "UTC"),
    "strings": pa.list_(pa.string()),
}


@pytest.fixture(scope="module")
def settings(shop_url):
    return Settings(DATABASE_URL=shop_url, SERVICE_TOKEN=TOKEN, SIGNING_KEYS=f"test:{'A' * 43}")


def test_the_same_tables():
    assert list(EXPORTS) == [table.name for table in tables.RAW]


@pytest.mark.parametrize("table", tables.RAW, ids=lambda table: table.name)
async def test_the_same_columns_in_the_same_order_with_the_same_types(settings, table):
    app = create_app(settings)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app), httpx.AsyncClient(transport=transport, base_url="http://shop") as shop:
        answer = await shop.get(
            f"/export/{table.name}", params={"day": "2017-01-01"}, headers={"Authorization": f"Bearer {TOKEN}"}
        )
    exported = pa.ipc.open_stream(answer.content).schema
    assert [(field.name, field.type) for field in exported] == [
        (column.name, ARROW[column.type]) for column in table.columns
    ]


def test_the_same_words():
    assert get_args(Click.model_fields["kind"].annotation) == raw.CLICK_KINDS
    assert get_args(Status) == raw.ORDER_STATUSES
