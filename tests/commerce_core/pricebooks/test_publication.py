"""From a proposal to the shop's prices and back: who may, in which order, once, and nothing half way."""

import asyncio
import json

import pyarrow.ipc
import pytest

from tests.commerce_core.pricebooks.conftest import EXPECTED, Desk, line

COLUMNS = {
    "product_id": "string",
    "currency": "string",
    "list_price_minor": "int64",
    "price_minor": "int64",
    "prior_30d_low_minor": "int64",
    "reasons": "list<item: string>",
    "binding": "string",
    "valid_from": "timestamp[us, tz=UTC]",
}


async def entries(service, version):
    answer = await service.get("/export/price_book", params={"version": version})
    assert answer.status_code == 200, answer.text
    return pyarrow.ipc.open_stream(answer.content).read_all()


async def test_before_the_first_publication_there_is_no_version(service):
    assert (await service.get("/price-books/live")).json() == {"version": None, "published_at": None}
    missing = await service.get("/export/price_book", params={"version": 1})
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "version_not_found")


async def test_a_book_becomes_the_shops_prices(desk, stock, price_of, db):
    soap, towel = await stock(), await stock(800)
    book, did = await desk.published(line(soap, 950))
    assert (book["state"], did["changed"], did["skipped"]) == ("live", 1, {})
    assert (await price_of(soap), await price_of(towel)) == (950, 800)
    row = await db.fetchrow("select * from price_history where product_id = $1 order by valid_from desc limit 1", soap)
    assert (row["price_minor"], row["list_price_minor"], row["source"]) == (950, 1000, "policy")
    assert row["version"] == did["version"] == await desk.live()
    told = json.loads(await db.fetchval("select payload::text from outbox where topic = 'prices' order by 1 desc"))
    assert (told["version"], told["kind"], told["book_id"]) == (did["version"], "published", book["book_id"])


async def test_a_version_is_complete_and_never_changes(desk, stock, service, db):
    soap, towel, gone = await stock(), await stock(800, regular=900), await stock()
    await db.execute("update products set status = 'retired' where product_id = $1", gone)
    _, did = await desk.published(line(soap, 950, binding="max_step"))
    table = await entries(service, did["version"])
    assert {field.name: str(field.type) for field in table.schema} == COLUMNS
    rows = {row["product_id"]: row for row in table.to_pylist()}
    assert str(gone) not in rows
    assert rows[str(soap)]["price_minor"] == 950
    assert (rows[str(soap)]["reasons"], rows[str(soap)]["binding"]) == (["pays_at_both_ends"], "max_step")
    assert (rows[str(towel)]["price_minor"], rows[str(towel)]["reasons"]) == (800, [])
    priced = await db.fetchval("select count(*) from products where status = 'active' and price_minor > 0")
    assert table.num_rows == priced
    body = {"name": "Towel", "price_minor": 700, "list_price_minor": 900, "currency": "EUR"}
    assert (await service.put(f"/products/{towel}", json=body)).status_code == 200
    assert (await entries(service, did["version"])).sort_by("product_id") == table.sort_by("product_id")
    _, later = await desk.published()
    rows = {row["product_id"]: row for row in (await entries(service, later["version"])).to_pylist()}
    assert (rows[str(towel)]["price_minor"], rows[str(soap)]["reasons"]) == (700, ["pays_at_both_ends"])


async def test_the_same_content_is_the_same_book(desk, stock):
    soap, towel = await stock(), await stock()
    first = await desk.propose(line(soap, 950), line(towel, 950), policy="p")
    again = await desk.propose(line(towel, 950), line(soap, 950), policy="p")
    other = await desk.propose(line(soap, 950), line(towel, 955), policy="p")
    assert [answer.status_code for answer in (first, again, other)] == [201, 200, 201]
    assert first.json()["book_id"] == again.json()["book_id"] != other.json()["book_id"]


@pytest.mark.parametrize(
    "change",
    [{"price_minor": 1101}, {"price_minor": 899}, {"price_minor": 1000}, {"price_minor": 0, "low_minor": 0}],
)
async def test_a_price_outside_its_bounds_is_no_line(desk, stock, change):
    assert (await desk.propose(line(await stock(), 950) | change)).status_code == 422


async def test_a_product_that_is_not_there_refuses_the_book(desk, stock, db):
    before = await db.fetchval("select count(*) from price_books")
    answer = await desk.propose(line(await stock(), 950), line("019aa1c4-7c00-7000-8000-00000000dead", 950))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "unknown_product")
    assert await db.fetchval("select count(*) from price_books") == before


async def test_no_step_is_left_out(desk, stock):
    book_id = (await desk.propose(line(await stock(), 950))).json()["book_id"]
    for steps_open, body in (("simulation", EXPECTED), ("guard", {}), ("approval", {}), ("publication", {})):
        later = {"simulation": "guard", "guard": "approval", "approval": "publication"}.get(steps_open)
        if later:
            assert (await desk.step(book_id, later)).status_code == 409
        assert (await desk.step(book_id, steps_open, **body)).status_code == 200
    assert (await desk.step(book_id, "rejection", reason="late")).status_code == 409


async def test_a_step_again_changes_nothing(desk, stock, db):
    book = await desk.approved(line(await stock(), 950))
    for step, body in (("simulation", EXPECTED), ("guard", {}), ("approval", {})):
        assert (await desk.step(book["book_id"], step, **body)).json() == book
    done = (await desk.step(book["book_id"], "publication")).json()
    tables = ("price_history", "price_versions", "price_book_events", "outbox", "audit_entries")
    before = [await db.fetchval(f"select count(*) from {table}") for table in tables]
    for step, body in (("simulation", EXPECTED), ("guard", {}), ("approval", {}), ("canary", {}), ("publication", {})):
        assert (await desk.step(book["book_id"], step, **body)).json() == done
    assert [await db.fetchval(f"select count(*) from {table}") for table in tables] == before
    other = EXPECTED | {"method": "another"}
    assert (await desk.step(book["book_id"], "simulation", **other)).status_code == 409


async def test_a_rejected_book_stays_where_it_is(desk, stock, price_of):
    soap = await stock()
    book = await desk.approved(line(soap, 950))
    rejected = await desk.step(book["book_id"], "rejection", reason="not now")
    assert rejected.json()["state"] == "rejected"
    assert (await desk.step(book["book_id"], "publication")).json()["error"]["code"] == "book_is_rejected"
    assert await price_of(soap) == 1000


async def test_every_step_is_told_with_its_actor(desk, stock, service, person):
    merchandiser, user_id = await person("merchandiser")
    book = await desk.approved(line(await stock(), 950))
    await Desk(merchandiser).step(book["book_id"], "publication")
    steps = (await service.get(f"/price-books/{book['book_id']}/steps")).json()["items"]
    assert [step["step"] for step in steps] == ["propose", "simulate", "guard", "approve", "publish"]
    assert [step["actor"] for step in steps] == ["service"] * 4 + [f"user:{user_id}"]


async def test_two_publishers_of_one_book_publish_it_once(desk, stock, db):
    soap = await stock()
    book = await desk.approved(line(soap, 950))
    answers = await asyncio.gather(*(desk.step(book["book_id"], "publication") for _ in range(6)))
    assert {answer.status_code for answer in answers} == {200}
    assert {len(answer.json()["publications"]) for answer in answers} == {1}
    count = "select count(*) from price_history where product_id = $1 and source = 'policy'"
    assert await db.fetchval(count, soap) == 1


async def test_a_publication_and_a_rollback_at_once_come_one_after_the_other(desk, stock, price_of, db):
    for _ in range(4):
        soap, towel, before = await stock(), await stock(), await desk.live()
        await desk.published(line(soap, 950))
        book = await desk.approved(line(towel, 960))
        answers = await asyncio.gather(desk.back(before), desk.step(book["book_id"], "publication"))
        assert {answer.status_code for answer in answers} == {200}
        assert await price_of(soap) == 1000  # taken back, whoever was first
        state = await db.fetchval("select state from price_books where book_id = $1", book["book_id"])
        assert (state, await price_of(towel)) in {("live", 960), ("rolled_back", 1000)}


async def test_of_two_books_of_one_product_one_moves_it(desk, stock, price_of):
    soap = await stock()
    books = [await desk.approved(line(soap, price)) for price in (950, 960)]
    answers = await asyncio.gather(*(desk.step(book["book_id"], "publication") for book in books))
    did = [answer.json()["publications"][0] for answer in answers]
    assert sorted(one["changed"] for one in did) == [0, 1]
    assert [one["skipped"] for one in did if not one["changed"]] == [{"price_changed": 1}]
    assert await price_of(soap) == (950 if did[0]["changed"] else 960)


async def test_a_book_that_is_overtaken_is_superseded(desk, stock, service):
    first, _ = await desk.published(line(await stock(), 950))
    await desk.published(line(await stock(), 950))
    assert (await service.get(f"/price-books/{first['book_id']}")).json()["state"] == "superseded"


async def test_a_merchandiser_and_a_publication_at_once_leave_a_price_with_its_history(desk, stock, service, db):
    """Whoever is second sees what the first did: no price stands without the row that says since when."""
    for n in range(8):
        soap = await stock()
        book = await desk.approved(line(soap, 950))
        body = {"name": f"Soap {n}", "price_minor": 1000, "list_price_minor": 1000, "currency": "EUR"}
        put = service.put(f"/products/{soap}", json=body)
        await asyncio.gather(put, desk.step(book["book_id"], "publication"))
        newest = "select price_minor from price_history where product_id = $1 order by valid_from desc limit 1"
        now = "select price_minor from products where product_id = $1"
        assert await db.fetchval(newest, soap) == await db.fetchval(now, soap)


async def test_a_list_is_walked_a_page_at_a_time(desk, stock, service):
    made = [(await desk.propose(line(await stock(), 950))).json()["book_id"] for _ in range(3)]
    first = (await service.get("/price-books", params={"limit": 2})).json()
    rest = (await service.get("/price-books", params={"before": first["next_before"], "limit": 1})).json()
    assert [book["book_id"] for book in first["items"] + rest["items"]] == made[::-1]
    book_id = (await desk.propose(*[line(await stock(), 950) for _ in range(3)])).json()["book_id"]
    page = (await service.get(f"/price-books/{book_id}/lines", params={"limit": 2})).json()
    last = (await service.get(f"/price-books/{book_id}/lines", params={"after": page["next_after"]})).json()
    assert (len(page["items"]), len(last["items"]), last["next_after"]) == (2, 1, None)


async def test_what_was_decided_of_a_product(desk, stock, service):
    soap = await stock()
    await desk.published(line(soap, 950))
    await desk.published(line(soap, 940, start=950))
    found = (await service.get(f"/products/{soap}/price-decisions")).json()["items"]
    assert [(one["from_minor"], one["price_minor"], one["skipped"]) for one in found] == [(1000, 950, None)]


class TestRollback:
    async def test_prices_are_as_before_and_a_new_version_says_so(self, desk, stock, price_of, service):
        soap, towel = await stock(), await stock(800, regular=800)
        first, one = await desk.published(line(soap, 950))
        second, _ = await desk.published(line(towel, 760, start=800, regular=800))
        did = (await desk.back(one["version"])).json()
        assert (did["kind"], did["restores"], did["changed"]) == ("rolled_back", one["version"], 1)
        assert (await price_of(soap), await price_of(towel)) == (950, 800)
        assert did["version"] == await desk.live()
        rows = {row["product_id"]: row for row in (await entries(service, did["version"])).to_pylist()}
        assert rows[str(towel)]["reasons"] == ["rolled_back"]
        states = [(await service.get(f"/price-books/{book['book_id']}")).json()["state"] for book in (first, second)]
        assert states == ["live", "rolled_back"]
        assert (await desk.step(second["book_id"], "publication")).json()["state"] == "rolled_back"

    async def test_again_changes_nothing(self, desk, stock, price_of):
        soap, before = await stock(), await desk.live()
        await desk.published(line(soap, 950))
        first = (await desk.back(before)).json()
        assert (await desk.back(before)).json() == first
        assert await price_of(soap) == 1000

    async def test_what_was_rolled_back_is_not_brought_back(self, desk, stock, price_of):
        soap, before = await stock(), await desk.live()
        _, did = await desk.published(line(soap, 950))
        await desk.back(before)
        answer = await desk.back(did["version"])
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "version_was_rolled_back")
        assert await price_of(soap) == 1000

    async def test_what_somebody_changed_since_is_left_alone(self, desk, stock, price_of, service):
        soap, before = await stock(), await desk.live()
        await desk.published(line(soap, 950))
        body = {"name": "Soap", "price_minor": 970, "list_price_minor": 1000, "currency": "EUR"}
        await service.put(f"/products/{soap}", json=body)
        did = (await desk.back(before)).json()
        assert (did["changed"], did["skipped"]) == (0, {"price_changed": 1})
        assert await price_of(soap) == 970

    async def test_the_guards_hold(self, desk, stock, price_of, db):
        """The price before the rise lies below a cost that has risen since: it stays."""
        soap, before = await stock(900), await desk.live()
        await desk.published(line(soap, 940, start=900))
        await db.execute(
            "insert into product_costs (product_id, valid_from, cost_minor, currency, source)"
            " values ($1, now(), 890, 'EUR', 'test')",
            soap,
        )
        did = (await desk.back(before)).json()
        assert (did["changed"], did["skipped"]) == (0, {"below_cost": 1})
        assert await price_of(soap) == 940

    @pytest.mark.parametrize(
        ("change", "reason"), [("price_minor = 970", "price_changed"), ("currency = 'USD'", "currency_changed")]
    )
    async def test_a_family_goes_back_whole_or_not_at_all(self, desk, stock, price_of, db, change, reason):
        small, large, other, before = await stock(), await stock(), await stock(), await desk.live()
        await desk.published(*[line(one, 950, family="sizes") for one in (small, large)], line(other, 950))
        await db.execute(f"update products set {change} where product_id = $1", small)
        did = (await desk.back(before)).json()
        assert (did["changed"], did["skipped"]) == (1, {reason: 1, "family_incomplete": 1})
        assert [await price_of(one) for one in (large, other)] == [950, 1000]

    async def test_a_version_that_is_to_come_is_not_found(self, desk):
        assert (await desk.back(10**6)).status_code == 404


class TestCanary:
    async def test_a_share_of_the_clusters_moves_first_and_the_rest_later(self, desk, stock, price_of):
        products = [await stock() for _ in range(60)]
        lines = [line(product, 950, cluster=f"cluster {n // 2}") for n, product in enumerate(products)]
        book = await desk.approved(*lines)
        first = (await desk.step(book["book_id"], "canary")).json()
        assert first["state"] == "canary"
        prices = [await price_of(product) for product in products]
        assert prices[::2] == prices[1::2]
        assert 0 < prices.count(950) == first["publications"][0]["changed"] < 30
        done = (await desk.step(book["book_id"], "publication")).json()
        assert [one["kind"] for one in done["publications"]] == ["canary", "published"]
        assert sum(one["changed"] for one in done["publications"]) == 60
        assert {await price_of(product) for product in products} == {950}

    async def test_a_family_is_never_split(self, desk, stock, price_of, db):
        products = [await stock() for _ in range(3)]
        book = await desk.approved(*[line(product, 950, family="sizes") for product in products])
        await db.execute("update products set price_minor = 990 where product_id = $1", products[1])
        done = (await desk.step(book["book_id"], "publication")).json()["publications"][0]
        assert (done["changed"], done["skipped"]) == (0, {"price_changed": 1, "family_incomplete": 2})
        assert [await price_of(product) for product in products] == [1000, 990, 1000]
