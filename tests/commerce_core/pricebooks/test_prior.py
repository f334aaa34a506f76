"""What may be said of a reduction: against the lowest price of the 30 days before it began, and nothing else.

Each case is a history, the oldest first: (days ago, regular price, price). Where a fault of others is meant, its number
stands beside it.
"""

from datetime import UTC, datetime, timedelta

import pytest

from commerce_core.pricebooks.prior import low_sql, reduction
from tests.commerce_core.pricebooks.conftest import line

DAY = timedelta(days=1)
CASES = {
    "no reduction runs": ([(100, 1000, 1000)], None),
    "the reduction is over": ([(100, 1000, 1000), (20, 1000, 800), (5, 1000, 1000)], None),
    # iworks/omnibus #30, #12, #37: the lowest of the last 30 days is the running promotion itself.
    "the running reduction is not before itself": ([(100, 1000, 1000), (5, 1000, 800)], 1000),
    "nor when it has run for longer than 30 days": ([(100, 1000, 1000), (45, 1000, 800)], 1000),
    # The price that held when the 30 days began has its row before them.
    "a price counts for as long as it held": ([(100, 1000, 900), (28, 1000, 1000), (5, 1000, 950)], 900),
    "what ended more than 30 days before does not count": ([(100, 1000, 700), (60, 1000, 1000), (5, 1000, 800)], 1000),
    "what ended 30 days before to the day does not count": ([(90, 1000, 700), (35, 1000, 1000), (5, 1000, 800)], 1000),
    "what ended a little less before does": ([(90, 1000, 700), (34.9, 1000, 1000), (5, 1000, 800)], 700),
    "a short earlier promotion counts": ([(100, 1000, 1000), (20, 1000, 850), (18, 1000, 1000), (5, 1000, 800)], 850),
    # A regular price that was raised first, to be cut.
    "raised and cut again": ([(100, 1000, 1000), (10, 1200, 1200), (5, 1200, 1000)], 1000),
    # iworks/omnibus #43: a price that is to come is in the history already.
    "what is to come does not count": ([(100, 1000, 1000), (5, 1000, 900), (-3, 1000, 500)], 1000),
    "nor does it end the reduction that runs": ([(100, 1000, 1000), (5, 1000, 900), (-3, 1000, 1000)], 1000),
    # iworks/omnibus #31: 0.00 is shown as the lowest price.
    "a price of zero is none": ([(100, 1000, 1000), (20, 1000, 0), (19, 1000, 1000), (5, 1000, 800)], 1000),
    "a new product has nothing before": ([(5, 1000, 800)], None),
    "less than 30 days of history will do": ([(9, 1000, 1000), (5, 1000, 800)], 1000),
    "a change of the regular price alone begins nothing": ([(100, 1000, 1000), (20, 1000, 800), (5, 1100, 800)], 1000),
    "a further cut is a reduction of its own": ([(100, 1000, 1000), (20, 1000, 900), (5, 1000, 800)], 900),
    "a rise within a reduction too": ([(100, 1000, 1000), (20, 1000, 800), (5, 1000, 900)], 800),
}
PROGRESSIVE = CASES | {
    "a further cut is a reduction of its own": (CASES["a further cut is a reduction of its own"][0], 1000),
}


async def low(db, product_id, *, progressive=False):
    word = low_sql("p.product_id", "'EUR'", "now()", progressive=progressive)
    return await db.fetchval(f"select {word} from products p where product_id = $1", product_id)


@pytest.fixture
def history(db, stock):
    """A function: a product with exactly this history."""

    async def make(rows, currency="EUR"):
        product_id = await stock()
        async with db.transaction():
            await db.execute("set local session_replication_role = replica")
            await db.execute("delete from price_history where product_id = $1", product_id)
        for days, regular, price in rows:
            at = datetime.now(UTC) - days * DAY
            row = "insert into price_history values ($1, $2, $3, $4, $5, 'catalog')"
            await db.execute(row, product_id, at, regular, price, currency)
        return product_id

    return make


@pytest.mark.parametrize("case", CASES)
async def test_the_prior_low(db, history, case):
    rows, expected = CASES[case]
    assert await low(db, await history(rows)) == expected


@pytest.mark.parametrize("case", PROGRESSIVE)
async def test_where_a_reduction_may_be_deepened(db, history, case):
    rows, expected = PROGRESSIVE[case]
    assert await low(db, await history(rows), progressive=True) == expected


async def test_each_variant_has_its_own(db, history):
    """iworks/omnibus #9, and prices of another currency are not prices of this one."""
    small = await history([(100, 1000, 1000), (5, 1000, 800)])
    await history([(100, 500, 400), (5, 500, 300)])
    row = "insert into price_history values ($1, now() - interval '10 days', 1, 1, 'USD', 'catalog')"
    await db.execute(row, small)
    assert await low(db, small) == 1000


@pytest.mark.parametrize(
    ("price", "before", "shown"),
    [
        (800, 1000, (1000, 2000)),
        (800, None, None),
        (1000, 1000, None),
        (1001, 1000, None),
        (0, 1000, None),
        (667, 1000, (1000, 3330)),
        (666, 999, (999, 3333)),  # a third is 33.33 %, not 33.34 %
        (999, 1000, (1000, 10)),
    ],
)
def test_what_may_be_shown(price, before, shown):
    assert reduction(price, before) == shown


async def test_the_struck_price_and_the_percentage_are_of_the_prior_low(shop, history, db):
    """MahoCommerce #453, ECJ C-330/23: 1,500 is the regular price, but it cost 1,000 a week before."""
    rows = [(100, 1500, 1500), (12, 1500, 1000), (10, 1500, 1500), (5, 1500, 900)]
    product_id = await history(rows)
    await db.execute("update products set list_price_minor = 1500, price_minor = 900 where product_id = $1", product_id)
    found = (await shop.get(f"/products/{product_id}/prior-price")).json()
    assert (found["struck_minor"], found["discount_bps"], found["prior_30d_low_minor"]) == (1000, 1000, 1000)


async def test_a_reduction_that_is_none_strikes_nothing_out(shop, history, db):
    """Dearer than three weeks ago, though below the regular price."""
    product_id = await history([(100, 1000, 1000), (20, 1000, 800), (10, 1000, 1000), (5, 1000, 900)])
    await db.execute("update products set price_minor = 900 where product_id = $1", product_id)
    found = (await shop.get(f"/products/{product_id}/prior-price")).json()
    assert (found["prior_30d_low_minor"], found["struck_minor"], found["discount_bps"]) == (800, None, None)


async def test_an_edit_by_hand_does_not_get_past_the_history(shop, stock, db):
    """iworks/omnibus #5: a bulk edit bypasses the log, and the next reduction is held against what was not so."""
    soap = await stock(before=[(100, 1000, 1000)])
    await db.execute("update products set price_minor = 700 where product_id = $1", soap)
    await db.execute("update products set price_minor = 1000 where product_id = $1", soap)
    await db.execute("update products set price_minor = 900 where product_id = $1", soap)
    rows = "select price_minor, source from price_history where product_id = $1 order by valid_from desc limit 3"
    assert [tuple(row) for row in await db.fetch(rows, soap)] == [(n, "unlogged") for n in (900, 1000, 700)]
    found = (await shop.get(f"/products/{soap}/prior-price")).json()
    assert (found["prior_30d_low_minor"], found["struck_minor"]) == (700, None)


async def test_a_publication_freezes_it(desk, stock, db):
    soap = await stock(before=[(100, 1000, 1000), (20, 1000, 970), (15, 1000, 1000)])
    calm = await stock(before=[(100, 1000, 1000)])
    _, did = await desk.published(line(soap, 950))
    kept = "select prior_30d_low_minor from price_version_entries where version = $1 and product_id = $2"
    assert await db.fetchval(kept, did["version"], soap) == 970
    assert await db.fetchval(kept, did["version"], calm) is None
