"""A generation of 60 products made in memory, requests for its shelves, and in plain sets what they may show."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from hypothesis import strategies as st

from contracts import conf, keys, rules, sessions
from contracts.keys import Ranked
from contracts.raw import CLICK_KINDS
from contracts.rules import AgeLimit, Boost, Exclusion, Pin, RuleBook, Vary
from contracts.tables import SLOTS
from models import bought, companions
from models.companions import Companions
from models.session import CART, HIDDEN, Products, Rows, SessionParams, category_number
from serving.generation import Changed, Generation
from serving.pages import Visitor, page
from serving.reads import Unavailable
from serving.rules import Known

COUNT = 60
PATHS = ("food", "food/tea", "food/tea/green", "food/teapots", "tools", "tools/steel")
PATH_OF = [PATHS[item % len(PATHS)] for item in range(COUNT)]
HIDDEN_ITEMS = set(range(0, COUNT, 13))
PRODUCTS = Products(
    np.random.default_rng(1).normal(size=(COUNT, 8)).astype(np.float32),
    np.array([HIDDEN if i in HIDDEN_ITEMS else category_number(PATH_OF[i]) for i in range(COUNT)], dtype=np.int32),
)
NO_ROWS = Rows(np.zeros(0, np.int64), PRODUCTS.vectors[:0], PRODUCTS.categories[:0])
POPULAR = {"all": list(range(0, 50)), "channel:web": list(range(55, 20, -1)), "category:food/tea": [1, 7, 2, 1, 8]}
TRENDING = {"all": [3, 70, 4, 3, 13, 5], "channel:web": [50, 51], "category:food": [9, 2, 8]}
BESIDE = [[(7 * item + 11 * step) % (COUNT + 20) for step in range(1, item % 5 * 3)] for item in range(COUNT)]
ARRIVALS = (3, 13, 9, 20, 58)  # 13 is hidden
USER, NOBODY = UUID(int=1 << 100), None


def uuid(item):
    return UUID(int=1 << 80 | item)


def ranked(items, because=()):
    """Falling scores, from anywhere."""
    why = [*because][: len(items)] + [keys.NOTHING] * (len(items) - len(because))
    return Ranked(items, [9.0 - 0.1 * place for place in range(len(items))], [0] * len(items), why)


SHOP = Generation(
    id="g",
    ready=b"ready",
    items="".join(str(uuid(item)) for item in range(COUNT)),
    count=COUNT,
    products=PRODUCTS,
    companions=Companions.of(
        [
            companions.encode(
                [*map(len, BESIDE)], sum(BESIDE, []), [1 / (n + 1) for few in BESIDE for n, _ in enumerate(few)]
            )
        ],
        COUNT,
    ),
    session=conf.load("session", SessionParams),
    categories=PATHS,
    scopes=list(POPULAR),
    popular={scope: ranked(items) for scope, items in POPULAR.items()},
    trending={scope: ranked(items) for scope, items in TRENDING.items()},
    arrivals=np.array(ARRIVALS),
    as_of="",
    changed=Changed(frozenset(), frozenset(), NO_ROWS),
)


@dataclass
class Held:
    """What Redis would answer; nothing at all while it is away."""

    values: dict
    away: bool

    async def get(self, ready, wanted):
        if self.away:
            raise Unavailable
        return [self.values.get(key) for key in wanted]


# --- what is drawn ----------------------------------------------------------------------------------------------------

items = st.integers(0, COUNT - 1)
junk = st.integers(0, COUNT + 200)  # some are no products
products = items.map(lambda item: str(uuid(item)))
unknown = st.just(str(UUID(int=5)))
paths = st.sampled_from((*PATHS, "food/te", "elsewhere"))
targets = st.one_of(st.fixed_dictionaries({"product": products | unknown}), st.fixed_dictionaries({"category": paths}))
pins = st.builds(
    Pin,
    st.sampled_from(rules.SHELVES),
    products | unknown,
    st.integers(1, 12),
    st.sampled_from([None, None, "web"]),
    st.sampled_from([None, None, "food"]),
)
boosts = st.builds(
    lambda target, factor, slot: Boost(factor, slot=slot, **target),
    targets,
    st.sampled_from([0.1, 1.0, 5.0]),
    st.sampled_from([None, *rules.SHELVES]),
)
books = st.builds(
    RuleBook,
    st.lists(targets.map(lambda target: Exclusion(**target)), max_size=4).map(tuple),
    st.lists(
        st.builds(lambda target, age: AgeLimit(age, **target), targets, st.sampled_from([12, 18])), max_size=3
    ).map(tuple),
    st.lists(
        pins, max_size=5, unique_by=(lambda pin: (pin.slot, pin.position), lambda pin: (pin.slot, pin.product))
    ).map(tuple),
    st.lists(boosts, max_size=3).map(tuple),
    st.lists(
        st.builds(Vary, st.sampled_from([None, *rules.SHELVES]), st.integers(1, 4), st.sampled_from([None, 0.1, 0.9])),
        max_size=2,
        unique_by=lambda vary: vary.slot,
    ).map(tuple),
)
lists = st.dictionaries(
    st.sampled_from(SLOTS),
    st.builds(lambda some, because: ranked(some, because), st.lists(junk, max_size=40), st.lists(junk, max_size=5)),
)
clicks = st.lists(st.tuples(items, st.sampled_from(CLICK_KINDS)), max_size=12)
shelves_wanted = st.lists(
    st.tuples(
        st.sampled_from([*SLOTS, "recently_viewed", "trending", "cart", "similar", "bought_together"]),
        st.integers(1, 30),
    ),
    min_size=1,
    max_size=4,
)


@dataclass
class Case:
    """One request and all that it depends on."""

    book: RuleBook
    blocked: set
    lists: dict
    own: set
    clicks: list
    age: int
    channel: str | None
    user: UUID | None
    away: bool
    late: bool
    category: str | None = None
    product: int | None = None
    near: tuple = ()
    cart: tuple = ()

    @property
    def generation(self):
        at = datetime.now(UTC).isoformat()
        happened = {"available": False, "reason": "out_of_stock", "at": at}
        records = [rules.record(happened | {"product_id": str(uuid(item))}) for item in self.blocked]
        return SHOP.under(Known(self.book, 1, rules.merged(*records)))

    @property
    def filter(self):
        [value] = bought.encode([np.array(sorted(self.own), np.int64)], [np.zeros(0, np.int64)])
        return value

    @property
    def redis(self):
        now = int(time.time() * 1_000)
        records = [
            sessions.record(
                {"event_id": str(UUID(int=n)), "product_id": str(uuid(item)), "kind": kind}, now - 1_000 + n
            )
            for n, (item, kind) in enumerate(self.clicks)
        ]
        values = {sessions.session_key("s"): sessions.merged(*records)}
        if self.user is not None:
            values[keys.user_key("g", self.user.bytes)] = keys.encode_user(self.lists, self.filter)
        if self.product is not None:
            values[keys.neighbours_key("g", uuid(self.product).bytes)] = neighbours(self.near)
        return Held(values, self.away)

    def ask(self, wanted):
        until = 0.0 if self.late else float("inf")
        visitor = Visitor(
            str(self.user) if self.user else None,
            "s",
            self.channel,
            self.category,
            self.age,
            None if self.product is None else str(uuid(self.product)),
            [str(uuid(item)) for item in self.cart],
        )
        return asyncio.run(page(self.generation, self.redis, visitor, wanted, until, tries=True))

    def forbidden(self):
        """What no shelf may show to somebody of that age."""
        below = {item for item in range(COUNT) for rule in self.book.exclude if covers(rule, item)}
        young = {i for i in range(COUNT) for rule in self.book.min_age if covers(rule, i) and rule.age > self.age}
        return HIDDEN_ITEMS | self.blocked | below | young

    def known(self, slot):
        """What this visitor must not be shown there besides."""
        seen = [] if self.away else self.clicks
        if slot == "recently_viewed":
            return set()
        if slot != "discover":
            return {item for item, kind in seen if kind in CART} | {*self.cart}
        mine = self.own if self.user is not None else set()
        return {item for item, _ in seen} | mine | {*self.cart}

    def where(self, slot):
        """Category and scopes of a shelf."""
        beside = slot in ("similar", "bought_together") and self.product is not None and not self.away
        category = "food/tea" if beside else self.category
        parts = (category or "").split("/")
        paths = ["/".join(parts[:depth]) for depth in range(len(parts), 0, -1)] if category else []
        return category, [f"category:{path}" for path in paths] + ["channel:web"] * (self.channel == "web") + ["all"]

    def beside(self, slot):
        """Lists that go before what is popular on a shelf that is not the shopper's own."""
        rising = [TRENDING[scope] for scope in self.where(slot)[1] if scope in TRENDING]
        near = [] if self.away or self.product is None else [self.near]
        together = [] if self.product is None else [BESIDE[self.product]]
        added = [BESIDE[item] for item in self.cart]
        return {"trending": rising, "cart": added + rising, "similar": near, "bought_together": together + near}[slot]


cases = st.builds(
    Case, books, st.sets(items, max_size=25), lists, st.sets(items, max_size=20), clicks,
    st.sampled_from([0, 12, 18, 99]), st.sampled_from([None, "web"]), st.sampled_from([USER, NOBODY]),
    st.booleans(), st.booleans(), st.sampled_from([None, "food/tea/green", "tools"]),
    st.none() | items, st.lists(junk, max_size=20).map(tuple), st.lists(items, max_size=4).map(tuple),
)  # fmt: skip


def neighbours(near):
    return keys.encode_neighbours(2, near, [1.0 - 0.01 * place for place in range(len(near))], [2] * len(near))


def covers(rule, item):
    if rule.product is not None:
        return rule.product == str(uuid(item))
    return PATH_OF[item] == rule.category or PATH_OF[item].startswith(rule.category + "/")


def standing(book, slot, k, may, channel=None, category=None):
    """Pins that must stand, by position: the narrower scope first."""
    found = {}
    for narrow in (2, 1, 0):
        for pin in book.pin:
            item = UUID(pin.product).int & 0xFFFF
            scoped = (pin.channel is not None) + (pin.category is not None)
            here = pin.channel in (None, channel) and (
                pin.category is None or (category or "").startswith(pin.category)
            )
            fits = (
                scoped == narrow and pin.slot == slot and pin.position <= k and here and pin.product != str(UUID(int=5))
            )
            if fits and item in may and pin.position not in found and item not in found.values():
                found[pin.position] = item
    return found


def check(shelf, slot, k, may, lists, pins):
    """`may`: what may be shown; `lists`: where it may come from."""
    shown, because = list(shelf.ranked.items), set(shelf.ranked.because) - {keys.NOTHING}
    assert set(shown) <= may
    assert len(set(shown)) == len(shown) <= k
    assert len(shown) >= min(k, len((set().union(*lists) & may) | set(pins.values())))
    assert set(pins.values()) <= set(shown)
    for position, item in pins.items():
        assert shown.index(item) + 1 == position or len(shown) < k
    assert list(shelf.ranked.scores) == sorted(shelf.ranked.scores, reverse=True)
    return because


QUIET = Case(RuleBook(), set(), {"for_you": ranked([1, 2, 3, 4, 5])}, set(), [], 0, None, USER, False, False)


def first(case, k=3, slot="for_you"):
    [shelf] = case.ask([(slot, k)])
    return list(shelf.ranked.items), shelf
