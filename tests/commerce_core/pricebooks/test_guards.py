"""Each guard, twice: when the book is guarded, and when what it guards against comes true only after the approval."""

import asyncio

import asyncpg
import pytest

from tests.commerce_core.pricebooks.conftest import EXPECTED, Desk, line

COST = (
    "insert into product_costs (product_id, valid_from, cost_minor, currency, source) values ($1, now(), $2, $3, 't')"
)


async def set_product(db, product_id, **values):
    for name, value in values.items():
        await db.execute(f"update products set {name} = $2 where product_id = $1", product_id, value)


# What happens to a product of 1000 with a regular price of 1000, the price to be published, and the refusal.
HAPPENINGS = {
    "retired": (lambda db, p: set_product(db, p, status="retired"), 950),
    "no_price": (lambda db, p: set_product(db, p, price_minor=0), 950),
    "currency_changed": (lambda db, p: set_product(db, p, currency="USD"), 950),
    "price_changed": (lambda db, p: set_product(db, p, price_minor=990), 950),
    "list_price_changed": (lambda db, p: set_product(db, p, list_price_minor=1010), 950),
    "below_cost": (lambda db, p: db.execute(COST, p, 903, "EUR"), 950),
}


@pytest.mark.parametrize("reason", HAPPENINGS)
async def test_what_is_so_when_the_book_is_guarded_strikes_the_line(desk, stock, db, price_of, reason):
    happens, price = HAPPENINGS[reason]
    soap = await stock()
    await happens(db, soap)
    before = await price_of(soap)
    book, did = await desk.published(line(soap, price))
    assert (book["refused"], did["changed"], did["skipped"]) == ({reason: 1}, 0, {})
    assert await price_of(soap) == before


@pytest.mark.parametrize("reason", HAPPENINGS)
async def test_what_becomes_so_after_the_approval_leaves_the_line_out(desk, stock, db, price_of, reason):
    happens, price = HAPPENINGS[reason]
    soap, towel = await stock(), await stock()
    book = await desk.approved(line(soap, price), line(towel, 950))
    await happens(db, soap)
    before = await price_of(soap)
    did = (await desk.step(book["book_id"], "publication")).json()["publications"][0]
    assert (did["changed"], did["skipped"]) == (1, {reason: 1})
    assert (await price_of(soap), await price_of(towel)) == (before, 950)


@pytest.mark.parametrize(
    ("reason", "price", "start", "regular"),
    [
        ("above_list_price", 1001, 1000, 1000),
        ("below_floor", 599, 650, 1000),
        ("step_too_large", 849, 1000, 1000),
        ("step_too_large", 990, 860, 1000),
    ],
)
async def test_a_move_that_is_wrong_in_itself_is_struck(desk, stock, price_of, reason, price, start, regular):
    soap = await stock(start, regular=regular)
    book, did = await desk.published(line(soap, price, start=start, regular=regular, low_minor=1, high_minor=2000))
    assert (book["refused"], did["changed"]) == ({reason: 1}, 0)
    assert await price_of(soap) == start


@pytest.mark.parametrize(("price", "start"), [(1000, 960), (600, 630), (950, 1000)])
async def test_the_bound_itself_is_allowed(desk, stock, price_of, price, start):
    soap = await stock(start)
    await desk.published(line(soap, price, start=start, low_minor=1))
    assert await price_of(soap) == price


@pytest.mark.parametrize(("cost", "goes"), [(902, True), (903, False)])
async def test_the_least_margin_is_five_per_cent_of_the_price(desk, stock, db, price_of, cost, goes):
    """950 x 0.95 is 902.5."""
    soap = await stock()
    await db.execute(COST, soap, cost, "EUR")
    await desk.published(line(soap, 950))
    assert await price_of(soap) == (950 if goes else 1000)


async def test_a_cost_in_another_currency_or_of_tomorrow_says_nothing(desk, stock, db, price_of):
    soap = await stock()
    await db.execute(COST, soap, 990, "USD")
    await db.execute(COST.replace("now()", "now() + interval '1 day'"), soap, 990, "EUR")
    await desk.published(line(soap, 950))
    assert await price_of(soap) == 950


async def test_out_of_a_price_below_its_cost_leads_the_way_up(desk, stock, db, price_of):
    soap = await stock(900)
    await db.execute(COST, soap, 980, "EUR")
    await desk.published(line(soap, 940, start=900))
    assert await price_of(soap) == 940


async def test_a_product_moves_once_a_day(desk, stock, db, price_of):
    soap = await stock()
    await desk.published(line(soap, 950))
    book, _ = await desk.published(line(soap, 940, start=950))
    assert (book["refused"], await price_of(soap)) == ({"changed_today": 1}, 950)
    back = await desk.back(0)
    assert back.status_code in (200, 409)
    book, _ = await desk.published(line(soap, 960, start=await price_of(soap)))
    assert book["refused"] == {"changed_today": 1}


class TestDaysLater:
    """The clock cannot be moved, so what was published is moved into the past."""

    async def later(self, db, days):
        """What was published was published so many days earlier."""
        async with db.transaction():
            await db.execute("set local session_replication_role = replica")
            await db.execute("update price_versions set published_at = published_at - $1 * interval '1 day'", days)
            await db.execute(
                "update price_history set valid_from = valid_from - $1 * interval '1 day' where source = 'policy'", days
            )

    async def cut(self, desk, soap, price_of):
        start = await price_of(soap)
        book, _ = await desk.published(line(soap, start - 40, start=start, low_minor=1))
        return book["refused"]

    async def test_daily_cuts_end(self, desk, stock, db, price_of):
        """A rival who undercuts us every day leads nowhere (magento2 #32776, allegro-api #12442)."""
        soap = await stock()
        for _ in range(3):
            assert await self.cut(desk, soap, price_of) == {}
            await self.later(db, 1)
        assert await self.cut(desk, soap, price_of) == {"too_many_cuts": 1}
        assert await price_of(soap) == 880
        book, _ = await desk.published(line(soap, 920, start=880))  # up it may go
        assert (book["refused"], await price_of(soap)) == ({}, 920)
        await self.later(db, 1)
        assert await self.cut(desk, soap, price_of) == {"too_many_cuts": 1}
        await self.later(db, 28)
        assert await self.cut(desk, soap, price_of) == {}

    async def test_a_rollback_ends_at_what_a_merchandiser_set_in_between(self, desk, stock, service, db, price_of):
        soap, before = await stock(), await desk.live()
        await desk.published(line(soap, 960))
        await self.later(db, 1)
        body = {"name": "Soap", "price_minor": 900, "list_price_minor": 1000, "currency": "EUR"}
        await service.put(f"/products/{soap}", json=body)
        await desk.published(line(soap, 870, start=900, low_minor=1))
        assert (await desk.back(before)).json()["changed"] == 1
        assert await price_of(soap) == 900

    async def test_a_rollback_after_a_rollback_knows_the_family_still(self, desk, stock, db, price_of):
        small, large, before = await stock(), await stock(), await desk.live()
        _, first = await desk.published(*[line(one, 960, family="soap") for one in (small, large)])
        await self.later(db, 1)
        await desk.published(*[line(one, 940, start=960, family="soap") for one in (small, large)])
        assert (await desk.back(first["version"])).json()["changed"] == 2
        await set_product(db, small, price_minor=970)
        did = (await desk.back(before)).json()
        assert (did["changed"], did["skipped"]) == (0, {"price_changed": 1, "family_incomplete": 1})
        assert [await price_of(one) for one in (small, large)] == [970, 960]

    async def test_a_rollback_takes_no_price_for_one_of_another_currency(self, desk, stock, db, price_of):
        """Its price in dollars was set by hand, to the very number that a book had made it in euros."""
        soap, before = await stock(), await desk.live()
        await desk.published(line(soap, 960))
        await self.later(db, 1)
        await set_product(db, soap, currency="USD")
        await desk.published(line(soap, 940, start=960, currency="USD"))
        assert (await desk.back(before)).json()["changed"] == 1
        assert await price_of(soap) == 960


class TestMinimums:
    MINIMUM = (
        "insert into advertised_minimums (product_id, valid_from, minimum_minor, currency, source)"
        " values ($1, now(), 960, 'EUR', 'maker')"
    )

    async def test_where_they_hold_no_cut_goes_below(self, desk, stock, db, app, price_of, instead):
        kept = app.state.settings.model_copy(update={"PRICE_MINIMUMS": True})
        instead(settings=kept)
        soap = await stock()
        await db.execute(self.MINIMUM, soap)
        book, _ = await desk.published(line(soap, 950))
        assert (book["refused"], await price_of(soap)) == ({"below_advertised_minimum": 1}, 1000)

    async def test_where_they_do_not_they_say_nothing(self, desk, stock, db, price_of):
        soap = await stock()
        await db.execute(self.MINIMUM, soap)
        await desk.published(line(soap, 950))
        assert await price_of(soap) == 950


async def test_a_family_is_refused_whole(desk, stock, db, price_of):
    small, large, other = await stock(), await stock(), await stock()
    await db.execute(COST, large, 940, "EUR")
    book, _ = await desk.published(line(small, 950, family="soap"), line(large, 950, family="soap"), line(other, 950))
    assert book["refused"] == {"below_cost": 1, "family_incomplete": 1}
    assert [await price_of(one) for one in (small, large, other)] == [1000, 1000, 950]


@pytest.mark.parametrize("price", [0, -1])
async def test_the_database_takes_no_price_of_nothing(desk, stock, db, price):
    soap = await stock()
    made = (await desk.propose()).json()
    with pytest.raises(asyncpg.CheckViolationError, match="within_bounds"):
        await db.execute(
            "insert into price_book_lines (book_id, product_id, currency, from_minor, list_price_minor, price_minor,"
            " low_minor, high_minor, reasons) values ($1, $2, 'EUR', 1000, 1000, $3, -5, 1100, '{x}')",
            made["book_id"],
            soap,
            price,
        )


@pytest.mark.parametrize("table", ["lines", "events", "refusals"])
async def test_what_was_decided_cannot_be_changed(db, table):
    with pytest.raises(asyncpg.RestrictViolationError, match="append-only"):
        await db.execute(f"delete from price_book_{table}")


class TestApproval:
    """200 lines, 5 % and a tenth of the revenue go by themselves; 1,000, 10 % and 30 % need one; the rest two."""

    LOSES = EXPECTED | {"margin_minor": {"low": -1, "high": 5}}

    async def test_a_small_book_needs_nobody(self, desk, stock):
        book = await desk.guarded(line(await stock(), 950))
        assert book["approvals_needed"] == 0
        assert (await desk.step(book["book_id"], "approval")).json()["state"] == "approved"

    async def test_a_larger_move_needs_somebody_else(self, person, stock, service):
        (ann, _), (bob, bobs) = await person("analyst", "merchandiser"), await person("merchandiser")
        (carol, _), (dave, _) = await person("analyst"), await person()
        book = await Desk(ann).guarded(line(await stock(), 940))
        assert book["approvals_needed"] == 1
        for client, code in ((service, "people_approve"), (ann, "own_proposal"), (carol, "not_yours")):
            refused = await Desk(client).step(book["book_id"], "approval")
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, code)
        assert (await Desk(dave).step(book["book_id"], "approval")).status_code == 403
        assert (await Desk(bob).step(book["book_id"], "publication")).json()["error"]["code"] == "book_is_guarded"
        done = (await Desk(bob).step(book["book_id"], "approval")).json()
        assert (done["state"], done["approved_by"]) == ("approved", [f"user:{bobs}"])

    async def test_a_book_that_may_lose_money_needs_two(self, desk, person, stock):
        (ann, anns), (bob, bobs) = await person("merchandiser"), await person("operator")
        book = await desk.guarded(line(await stock(), 990), expected=self.LOSES)
        assert book["approvals_needed"] == 2
        for _ in range(2):
            assert (await Desk(ann).step(book["book_id"], "approval")).json()["state"] == "guarded"
        done = (await Desk(bob).step(book["book_id"], "approval")).json()
        assert (done["state"], done["approved_by"]) == ("approved", [f"user:{anns}", f"user:{bobs}"])

    async def test_who_simulated_a_book_does_not_approve_it(self, desk, person, stock):
        """What is expected of a book says how many must approve it."""
        (ann, _), (bob, bobs) = await person("analyst", "merchandiser"), await person("merchandiser")
        book_id = (await desk.propose(line(await stock(), 940))).json()["book_id"]
        assert (await Desk(ann).step(book_id, "simulation", **EXPECTED)).status_code == 200
        assert (await desk.step(book_id, "guard")).json()["approvals_needed"] == 1
        refused = await Desk(ann).step(book_id, "approval")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "own_simulation")
        assert (await Desk(bob).step(book_id, "approval")).json()["approved_by"] == [f"user:{bobs}"]

    async def test_several_small_books_are_a_large_one(self, desk, stock, room):
        await room(3)
        await desk.published(line(await stock(), 950), line(await stock(), 950))
        book = await desk.guarded(line(await stock(), 950), line(await stock(), 950))
        assert book["approvals_needed"] == 1

    async def test_nor_are_they_small_when_all_are_approved_before_the_first_is_published(
        self, desk, stock, room, person, price_of
    ):
        (bob, bobs), products = await person("merchandiser"), [await stock() for _ in range(10)]
        await room(5)
        books = [await desk.approved(*[line(one, 950) for one in products[n : n + 2]]) for n in range(0, 10, 2)]
        for _ in range(2):  # at once, and again
            work = (desk.step(book["book_id"], "publication") for book in books)
            answers = [answer.json() for answer in await asyncio.gather(*work)]
            left = [book for book, answer in zip(books, answers, strict=True) if "error" in answer]
            assert [answer["error"]["code"] for answer in answers if "error" in answer] == ["more_must_approve"] * 3
        assert sorted([await price_of(one) for one in products]) == [950] * 4 + [1000] * 6
        for book in left:
            assert (await desk.step(book["book_id"], "approval")).json() == book  # the service's counts for nothing
            assert (await desk.step(book["book_id"], "canary")).json()["error"]["code"] == "more_must_approve"
            seen = (await Desk(bob).step(book["book_id"], "approval")).json()
            assert (seen["approvals_needed"], seen["approved_by"]) == (1, ["service", f"user:{bobs}"])
            assert (await desk.step(book["book_id"], "publication")).json()["state"] == "live"
        assert {await price_of(one) for one in products} == {950}

    @pytest.mark.parametrize(("who", "status"), [("author", 409), ("service", 409), ("other", 200)])
    async def test_a_small_books_approval_counts_later_if_it_is_of_somebody_else(
        self, desk, stock, room, person, who, status
    ):
        """Anybody may approve a small book, even who made it; when it is small no more, that is not enough."""
        (ann, _), (bob, _) = await person("analyst", "merchandiser"), await person("merchandiser")
        approver = {"author": Desk(ann), "service": desk, "other": Desk(bob)}[who]
        await room(2)
        book = await Desk(ann).guarded(line(await stock(), 950))
        assert (await approver.step(book["book_id"], "approval")).json()["state"] == "approved"
        await desk.published(line(await stock(), 950), line(await stock(), 950))
        assert (await desk.step(book["book_id"], "publication")).status_code == status

    async def test_the_rest_of_a_canary_may_need_more(self, desk, stock, room, person):
        bob, _ = await person("merchandiser")
        await room(70)
        book = await desk.approved(*[line(await stock(), 950, cluster=f"cluster {n}") for n in range(60)])
        assert (await desk.step(book["book_id"], "canary")).json()["state"] == "canary"
        await room(-1)
        assert (await desk.step(book["book_id"], "publication")).json()["error"]["code"] == "more_must_approve"
        assert (await Desk(bob).step(book["book_id"], "approval")).json()["state"] == "canary"
        assert (await desk.step(book["book_id"], "publication")).json()["state"] == "live"

    async def test_it_never_needs_fewer_than_were_asked_for(self, desk, stock, room):
        await room(0)
        book = await desk.guarded(line(await stock(), 950))
        await room(10)
        refused = await desk.step(book["book_id"], "approval")
        assert (book["approvals_needed"], refused.json()["error"]["code"]) == (1, "people_approve")

    @pytest.fixture
    def room(self, app, instead, db):
        """A function: from now on so many products more may change today with nobody's approval."""

        async def make(more):
            count = (
                "select count(distinct product_id) from price_version_lines join price_versions using (version)"
                " where skipped is null and kind <> 'rolled_back' and published_at > now() - interval '1 day'"
            )
            lines = more + await db.fetchval(count)
            instead(settings=app.state.settings.model_copy(update={"PRICE_AUTO_LINES": lines}))

        return make

    async def test_what_sells_most_needs_more(self, desk, stock, db):
        soap, towel = await stock(), await stock()
        user = await db.fetchval("insert into users (external_id) values (gen_random_uuid()::text) returning user_id")
        for product, paid in ((soap, 2_000), (towel, 8_000)):
            order = await db.fetchval(
                "insert into orders (user_id, channel, currency, total_minor, status)"
                " values ($1, 'web', 'EUR', $2, 'paid') returning order_id",
                user,
                paid,
            )
            await db.execute("insert into order_lines values ($1, 1, $2, 1, $3, $3, $3)", order, product, paid)
        needs = [(await desk.guarded(line(one, 990)))["approvals_needed"] for one in (await stock(), soap, towel)]
        assert needs == [0, 1, 2]
