"""Whatever is proposed, approved, published, rolled back, and happens meanwhile: no price gets out that may not.

A machine draws sequences of all of that over the real database. After each publication everything that it did is held
against rules that are written here once more, in Python over the rows of the histories.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import date, timedelta
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import text

from commerce_core.db import create_engine, transactions
from commerce_core.errors import ShopError
from commerce_core.pricebooks import publication, service
from commerce_core.pricebooks.prior import reduction
from commerce_core.pricebooks.schemas import BookBody, SimulationBody
from commerce_core.principals import SERVICE
from commerce_core.settings import Settings
from tests.commerce_core.conftest import SETTINGS
from tests.commerce_core.pricebooks.conftest import EXPECTED, line

PRODUCTS = 3
NOBODY = {f"PRICE_{who}_{what}": "10000" for who in ("AUTO", "ONE") for what in ("LINES", "STEP_BPS", "REVENUE_BPS")}
MOVED = """
select l.product_id, l.from_minor, l.price_minor, v.kind, v.published_at from price_version_lines l
join price_versions v using (version) where l.skipped is null and version {which} :version"""
# The clock cannot be moved, so all that was is moved into the past.
CLOCKS = {
    "price_versions": ("published_at",),
    "price_version_entries": ("valid_from",),
    "price_history": ("valid_from",),
    "price_books": ("proposed_at",),
    "product_costs": ("valid_from", "known_at"),
}

which = st.integers(0, PRODUCTS - 1)
factors = st.sampled_from([0.3, 0.58, 0.85, 0.9, 0.91, 0.95, 0.97, 0.99, 1.01, 1.05, 1.1, 1.2])


def prior_low(rows, at):
    """Of (valid_from, list price, price): the lowest in force in the 30 days before the price in force began, when that
    is a reduction."""
    rows = [row for row in rows if row[0] <= at and row[2] > 0]
    if not rows or rows[-1][2] >= rows[-1][1]:
        return None
    first = len(rows) - 1
    while first and rows[first - 1][2] == rows[first][2] and rows[first - 1][2] < rows[first - 1][1]:
        first -= 1
    earliest = rows[first][0] - timedelta(days=30)
    ends = [row[0] for row in rows[1 : first + 1]]
    return min((row[2] for row, end in zip(rows[:first], ends, strict=True) if end > earliest), default=None)


def sequences(url, steps):
    """The machine over a shop."""
    engine = create_engine(url, pool_size=2)
    begin = transactions(engine)
    limits = Settings(DATABASE_URL=url, **SETTINGS | NOBODY)
    loop = asyncio.new_event_loop()

    class Sequences(RuleBasedStateMachine):
        @initialize(prices=st.lists(st.integers(650, 1000), min_size=PRODUCTS, max_size=PRODUCTS))
        def shop(self, prices):
            self.books, self.products = [], [uuid4() for _ in prices]
            self.write("update products set status = 'retired'")
            tables = "price_books, price_versions, price_version_entries, product_costs, price_history"
            self.write(f"truncate {tables} cascade", past=True)
            for product, price in zip(self.products, prices, strict=True):
                self.write(
                    "insert into products (product_id, external_id, name, list_price_minor, price_minor, currency)"
                    f" values ('{product}', '{product}', 'Soap', 1000, {price}, 'EUR')"
                )
                self.write(
                    "insert into price_history"
                    f" values ('{product}', now() - interval '50 days', 1000, {price}, 'EUR', 'x')"
                )

        # --- what happens ---

        @rule(moves=st.dictionaries(which, factors, min_size=1), stale=st.booleans(), family=st.booleans())
        def somebody_proposes(self, moves, stale, family):
            known = self.prices()
            lines = []
            for number, factor in moves.items():
                product = self.products[number]
                start, regular = known[product]
                start += stale
                price = max(1, int(start * factor))
                more = {"low_minor": 1, "high_minor": 5000, "family": "f" if family else None}
                if price != start:
                    lines.append(line(product, price, start=start, regular=regular, **more))
            body = BookBody.model_validate({"policy": str(uuid4()), "day": date(2026, 1, 1), "lines": lines})
            book_id, _ = self.run(lambda session: service.propose(session, body, actor="service"))
            self.books.append(book_id)

        @rule(factor=factors, days=st.lists(st.integers(0, 2), min_size=1, max_size=5))
        def somebody_wants_the_same_day_after_day(self, factor, days):
            for passed in days:
                self.somebody_proposes(dict.fromkeys(range(PRODUCTS), factor), stale=False, family=False)
                self.a_book_is_published(0, canary=False)
                if passed:
                    self.time_passes(passed)

        @precondition(lambda self: self.books)
        @rule(pick=st.integers(0, 50), step=st.sampled_from(["simulate", "guard", "approve", "reject"]))
        def a_book_goes_a_step(self, pick, step):
            self.go(self.books[-1 - pick % len(self.books)], step)

        @precondition(lambda self: self.books)
        @rule(pick=st.integers(0, 3), canary=st.booleans())
        def a_book_is_published(self, pick, canary):
            book_id = self.books[-1 - pick % len(self.books)]
            for step in ("simulate", "guard", "approve"):
                self.go(book_id, step)
            act = publication.canary if canary else publication.publish
            self.publishes(lambda session: act(session, book_id, limits, actor="service"))

        @rule(back=st.integers(0, 4))
        def versions_are_rolled_back(self, back):
            to = max(0, self.live() - back)
            self.publishes(lambda session: publication.roll_back(session, to, "test", limits, actor="service"))

        @rule(number=which, price=st.integers(400, 1200), regular=st.integers(800, 1200))
        def somebody_edits_a_price(self, number, price, regular):
            values = f"price_minor = {price}, list_price_minor = {max(price, regular)}"
            self.write(f"update products set {values} where product_id = '{self.products[number]}'")

        @rule(number=which, cost=st.integers(500, 1000))
        def a_cost_changes(self, number, cost):
            self.write(
                "insert into product_costs (product_id, valid_from, cost_minor, currency, source)"
                f" values ('{self.products[number]}', clock_timestamp(), {cost}, 'EUR', 'test')"
            )

        @rule(number=which, factor=st.sampled_from([0.92, 0.95, 0.98]), late=st.booleans())
        def a_cost_rises_just_before_a_cut(self, number, factor, late):
            self.time_passes(1)
            self.somebody_proposes({number: factor}, stale=False, family=False)
            if late:
                for step in ("simulate", "guard", "approve"):
                    self.go(self.books[-1], step)
            self.a_cost_changes(number, self.prices()[self.products[number]][0] * 95 // 100)
            self.a_book_is_published(0, canary=False)

        @rule(number=which, status=st.sampled_from(["active", "active", "retired"]))
        def a_product_goes_or_returns(self, number, status):
            self.write(f"update products set status = '{status}' where product_id = '{self.products[number]}'")

        @rule(days=st.sampled_from([1, 1, 1, 2, 9, 31]))
        def time_passes(self, days):
            for table, columns in CLOCKS.items():
                earlier = ", ".join(f"{name} = {name} - interval '{days} days'" for name in columns)
                self.write(f"update {table} set {earlier}", past=True)

        # --- what must hold ---

        def publishes(self, work):
            """Do this; if it made a version, everything that the version did is looked at."""
            before, version, kept = self.prices(), self.live(), self.entries(self.live())
            self.run(work)
            assert self.entries(version) == kept, "a version never changes"
            if self.live() == version:
                assert self.prices() == before
                return
            assert self.live() == version + 1
            moved = {row.product_id: row for row in self.read(MOVED.format(which="="), version=version + 1)}
            after = self.prices()
            for product in self.products:
                if product not in moved:
                    assert after[product] == before[product]
                    continue
                self.was_allowed(product, moved[product], before[product], after[product])
            assert len({row.published_at for row in moved.values()}) <= 1
            self.says_the_truth(version + 1)

        def was_allowed(self, product, row, before, after):
            (start, regular), price = before, row.price_minor
            assert (row.from_minor, after) == (start, (price, regular))
            assert price > 0
            [status] = self.read("select status from products where product_id = :product", product=product)
            assert status.status == "active"
            if price > start:
                assert price <= regular, "a rise ends at the regular price"
            else:
                assert price * 100 >= regular * 60, "a cut ends at 60 % of the regular price"
                cost = self.cost(product)
                assert cost is None or price * 95 >= cost * 100, "a cut leaves 5 % over the cost"
            if row.kind == "rolled_back":
                return
            assert abs(price - start) * 100 <= start * 15, "a step is 15 % at most"
            past = [
                one
                for one in self.read(MOVED.format(which="<="), version=self.live())
                if one.product_id == product and one.kind != "rolled_back"
            ]
            days = Counter(one.published_at.date() for one in past)
            assert max(days.values()) == 1, "one change a day"
            since = row.published_at - timedelta(days=28)
            assert sum(one.price_minor < one.from_minor for one in past if one.published_at > since) <= 3

        def says_the_truth(self, version):
            """The version is complete, and its prior lows are those of the history."""
            rows = {row.product_id: row for row in self.entries(version)}
            active = self.read("select product_id from products where status = 'active' and price_minor > 0")
            assert rows.keys() == {row.product_id for row in active}
            [made] = self.read(
                "select published_at as at from price_versions where version = :version", version=version
            )
            histories = {}
            of = "select product_id, valid_from, list_price_minor, price_minor, source, version from price_history"
            for row in self.read(f"{of} order by valid_from"):
                histories.setdefault(row.product_id, []).append(row)
            prices = self.prices()
            for product, row in rows.items():
                history = [(one.valid_from, one.list_price_minor, one.price_minor) for one in histories[product]]
                assert history[-1][1:] == prices[product][::-1], "no price without its row in the history"
                assert (row.price_minor, row.list_price_minor) == prices[product]
                low = prior_low(history, made.at)
                assert row.prior_30d_low_minor == low
                shown = reduction(row.price_minor, low)
                assert shown is None or shown.struck_minor == low > row.price_minor

        # --- how it is asked ---

        def go(self, book_id, step):
            expected = SimulationBody.model_validate(EXPECTED)
            work = {
                "simulate": lambda session: service.simulated(session, book_id, expected, actor="service"),
                "guard": lambda session: service.guarded(session, book_id, limits, actor="service"),
                "approve": lambda session: service.approve(session, book_id, SERVICE, limits),
                "reject": lambda session: service.reject(session, book_id, "test", actor="service"),
            }[step]
            self.run(work)

        def run(self, work):
            """In a transaction of its own; what is refused has changed nothing."""

            async def once():
                async with begin() as session:
                    return await work(session)

            with suppress(ShopError):
                return loop.run_until_complete(once())

        def read(self, query, **values):
            async def once():
                async with begin() as session:
                    return (await session.execute(text(query), values)).all()

            return loop.run_until_complete(once())

        def write(self, statement, *, past=False):
            async def once():
                async with begin() as session:
                    if past:
                        await session.execute(text("set local session_replication_role = replica"))
                    await session.execute(text(statement))

            loop.run_until_complete(once())

        def prices(self):
            rows = self.read("select product_id, price_minor, list_price_minor from products where currency = 'EUR'")
            return {row.product_id: (row.price_minor, row.list_price_minor) for row in rows}

        def cost(self, product):
            newest = "order by valid_from desc limit 1"
            rows = self.read(
                f"select cost_minor from product_costs where product_id = :product {newest}", product=product
            )
            return rows[0].cost_minor if rows else None

        def entries(self, version):
            names = "product_id, price_minor, list_price_minor, prior_30d_low_minor, reasons"
            of = f"select {names} from price_version_entries where version = :version order by product_id"
            return self.read(of, version=version)

        def live(self):
            return self.read("select coalesce(max(version), 0) as version from price_versions")[0].version

    kind = settings(
        max_examples=steps[0],
        stateful_step_count=steps[1],
        deadline=None,
        suppress_health_check=list(HealthCheck),
        derandomize=True,
        phases=(Phase.generate,),  # a sequence is short enough to be read, and takes a second to be tried again
    )
    try:
        run_state_machine_as_test(Sequences, settings=kind)
    finally:
        loop.run_until_complete(engine.dispose())
        loop.close()


@pytest.mark.parametrize("steps", [(10, 14)])
def test_no_sequence_gets_a_price_out_that_may_not_be(shop_url, steps):
    sequences(shop_url, steps)
