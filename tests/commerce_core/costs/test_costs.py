"""Costs, advertised minimums and competitors' prices: taken in once, never changed, believed for a while."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg
import pyarrow.ipc
import pytest

from tests.commerce_core.buyers import stock_up

AT = datetime(2026, 11, 1, tzinfo=UTC)


def cost(product, minor=300, at=AT, currency="USD"):
    return {"product_id": str(product), "currency": currency, "cost_minor": minor, "valid_from": at.isoformat()}


def offer(product, price, *, competitor="Rival", quality=1.0, hours=1.0, currency="USD"):
    seen_at = datetime.now(UTC) - timedelta(hours=hours)
    return {
        "product_id": str(product),
        "currency": currency,
        "competitor": competitor,
        "price_minor": price,
        "match_quality": quality,
        "seen_at": seen_at.isoformat(),
    }


@pytest.fixture
async def soap(db):
    return await stock_up(db, 1)


@pytest.fixture
def tell(service):
    async def send(path, *rows):
        return await service.post(path, json={"source": "test", "rows": list(rows)})

    return send


async def test_costs_are_taken_in_once(tell, soap, service):
    rows = [cost(soap), cost(soap, 310, AT + timedelta(days=1)), cost(soap, 280, currency="EUR")]
    assert (await tell("/costs", *rows)).json() == {"source": "test", "added": 3, "known": 0}
    assert (await tell("/costs", *rows, cost(soap, 320, AT + timedelta(days=2)))).json()["added"] == 1
    kept = (await service.get(f"/products/{soap}/costs")).json()["items"]
    assert [(row["cost_minor"], row["currency"]) for row in kept[:2]] == [(320, "USD"), (310, "USD")]
    assert len(kept) == 4


async def test_what_was_said_is_not_unsaid(tell, soap, db):
    await tell("/costs", cost(soap))
    answer = await tell("/costs", cost(soap, 301), cost(soap, 1, AT + timedelta(days=9)))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "known_otherwise")
    assert await db.fetchval("select count(*) from product_costs where product_id = $1", soap) == 1
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await db.execute("update product_costs set cost_minor = 1")


@pytest.mark.parametrize(
    ("rows", "code"),
    [
        (lambda soap: [cost(soap), cost(uuid4())], "unknown_product"),
        (lambda soap: [cost(soap), cost(soap)], "given_twice"),
        (lambda soap: [cost(soap, -1)], "invalid_request"),
        (lambda soap: [cost(soap) | {"valid_from": "2026-11-01T00:00:00"}], "invalid_request"),
    ],
)
async def test_all_rows_or_none(tell, soap, db, rows, code):
    answer = await tell("/costs", *rows(soap))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert await db.fetchval("select count(*) from product_costs where product_id = $1", soap) == 0


async def test_costs_leave_by_the_day_on_which_they_were_told(tell, soap, service, db):
    await tell("/costs", cost(soap))
    today = await db.fetchval("select (now() at time zone 'UTC')::date")
    answer = await service.get("/export/costs/open", params={"day": str(today)})
    rows = {row["product_id"]: row for row in pyarrow.ipc.open_stream(answer.content).read_all().to_pylist()}
    row = rows[str(soap)]
    assert (row["day"], row["cost_minor"], row["currency"], row["valid_from"]) == (today, 300, "USD", AT)


class TestCompetitors:
    async def market(self, service, product):
        found = (await service.get(f"/products/{product}/competitor-prices")).json()
        return found["cheapest_minor"], [(one["competitor"], one["price_minor"]) for one in found["offers"]]

    @pytest.mark.parametrize("name", ["Soap & Sons", "  soap &  SONS "])
    async def test_our_own_offer_is_none(self, tell, soap, db, name):
        """magento2 #32776: a shop that undercuts itself by a cent every hour."""
        answer = await tell("/competitor-prices", offer(soap, 480), offer(soap, 470, competitor=name))
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "own_offer")
        assert await db.fetchval("select count(*) from competitor_prices where product_id = $1", soap) == 0

    async def test_nor_under_a_name_that_became_ours_later(self, tell, soap, service, app, instead):
        await tell("/competitor-prices", offer(soap, 480), offer(soap, 400, competitor="Soap Outlet"))
        kept = app.state.settings.model_copy(update={"PRICE_OWN_NAMES": ["soap outlet"]})
        instead(settings=kept)
        assert await self.market(service, soap) == (480, [("Rival", 480)])

    async def test_an_old_price_is_not_believed(self, tell, soap, service):
        """allegro-api #12442: down with a competitor, and never up again."""
        await tell("/competitor-prices", offer(soap, 400, hours=73), offer(soap, 480, competitor="Other", hours=71))
        assert await self.market(service, soap) == (480, [("Other", 480)])

    async def test_the_newest_price_counts_not_the_lowest(self, tell, soap, service):
        await tell("/competitor-prices", offer(soap, 400, hours=20), offer(soap, 490, hours=2))
        assert await self.market(service, soap) == (490, [("Rival", 490)])

    async def test_a_poor_match_and_another_currency_say_nothing(self, tell, soap, service):
        rows = [
            offer(soap, 100, competitor="A", quality=0.79),
            offer(soap, 200, competitor="B", currency="EUR"),
            offer(soap, 470, competitor="C", quality=0.8),
            offer(soap, 450, competitor="D"),
        ]
        await tell("/competitor-prices", *rows)
        assert await self.market(service, soap) == (450, [("D", 450), ("C", 470)])

    async def test_nobody_has_seen_the_future(self, tell, soap):
        answer = await tell("/competitor-prices", offer(soap, 400, hours=-1))
        assert answer.json()["error"]["code"] == "seen_in_the_future"

    async def test_where_nobody_asks_anything_there_is_no_cheapest(self, service, soap):
        assert await self.market(service, soap) == (None, [])
