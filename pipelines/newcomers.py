"""Where new and changed products stand in a base generation: their vectors, neighbours both ways, and price signals."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from contracts import conf, keys
from contracts.keys import PriceSignal
from models.elasticity import EffectParams
from models.params import ModelParams
from models.recommender import Recommender
from models.session import category_number, unit_vectors
from models.shoppers import Numbers
from models.similar import Likeness
from pipelines import generation as encoding
from pipelines import lists, price_signals
from pipelines.addendum import Addendum
from pipelines.generation import CHUNK_KEYS, Client, Draft, PublishError, nearest_scope, uuid_of
from pipelines.lake import Lake
from pipelines.learning import WRITTEN
from pipelines.price_signals import MOST_REPRICED
from pipelines.settings import Settings
from pipelines.tracking import Tracking
from pipelines.train import LIVE, NAME
from pipelines.train_prices import MODEL

LONGEST_LIST = 255

Effect = tuple[float, float, str]  # elasticity, its standard error, what identified it
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Base:
    """A published generation and what it was made from: all that tells where a new product stands."""

    generation: str
    meta: Mapping[str, Any]
    ids: NDArray[np.bytes_]  # (items,) UUIDs in order of the dense index
    recommender: Recommender
    likeness: Likeness
    effects: Mapping[tuple[str, str], Effect]  # by level and key

    @classmethod
    def read(cls, client: Client, generation: str, settings: Settings) -> "Base":
        """From Redis, the registry and the lake: the versions of models and the day that it was published with."""
        meta = json.loads(client.get(keys.meta_key(generation)))
        lake, tracking = Lake(settings.lake_uri), Tracking(settings.mlflow_tracking_uri)
        numbers = dict(model.split("/") for model in meta["models"])
        with tracking.folder(tracking.numbered(NAME, numbers[NAME])) as folder:
            learned = Recommender.load(folder / LIVE)
        recommender = lists.current(learned, lake, date.fromisoformat(meta["as_of"]) - timedelta(days=1))
        effects, _ = price_signals.champion_effects(tracking, lake, conf.load(MODEL, EffectParams))
        rows = effects.select(["level", "key", "elasticity", "elasticity_se", "identified_by"]).to_pylist()
        table = encoding.read_items(client, Draft(generation, settings.redis_url, (), tuple(meta["item_chunks"])))
        return cls(
            generation,
            meta,
            np.frombuffer(table, f"S{keys.ITEM_CHARACTERS}"),
            recommender,
            Likeness.of(recommender),
            {(row["level"], row["key"]): tuple(row.values())[2:] for row in rows},
        )

    def indexes(self, product_ids: Sequence[str]) -> Numbers:
        """Dense index of each product, -1 where the base does not know it."""
        wanted = np.array(product_ids, dtype=self.ids.dtype)
        places = np.minimum(np.searchsorted(self.ids, wanted), len(self.ids) - 1)
        return np.where(self.ids[places] == wanted, places, -1).astype(np.int64)


@dataclass(frozen=True)
class News:
    """What the shop took in since a day: each product's newest version and price, by id."""

    versions: Mapping[str, Row]
    prices: Mapping[str, Row]

    @classmethod
    def of(cls, versions: pa.Table, prices: pa.Table) -> "News":
        """From rows of contracts.tables.CATALOG and PRICES."""
        newest = [{row["product_id"]: row for row in rows.sort_by("ts").to_pylist()} for rows in (versions, prices)]
        return cls(*newest)

    def __bool__(self) -> bool:
        return bool(self.versions or self.prices)


@dataclass(frozen=True)
class Entering:
    """Products that are shown from now on: those that the base knows first, both in rising order of their index."""

    ids: Sequence[str]
    rows: Sequence[Row]
    places: Numbers  # (products,) dense index in the addendum
    known: int  # so many of them does the base know
    likeness: Likeness  # (products, rank)

    @classmethod
    def of(cls, base: Base, news: News) -> "Entering":
        shown = sorted(id for id, row in news.versions.items() if row["status"] == "active" and row["recommendable"])
        places = base.indexes(shown)
        order = np.argsort(places < 0, kind="stable")
        places, ids = places[order], [shown[number] for number in order]
        known = int((places >= 0).sum())
        places[known:] = len(base.ids) + np.arange(len(ids) - known)
        rows = [news.versions[id] for id in ids]
        numbers = base.recommender.catalogue.numbers(np.array(ids, dtype=np.str_))
        baskets = np.where((numbers >= 0)[:, None], base.likeness.baskets[numbers], np.float32(0))
        text = base.recommender.texts.vectors([" ".join(row[name] or "" for name in WRITTEN) for row in rows])
        return cls(ids, rows, places, known, Likeness(baskets, text))


def addendum(base: Base, news: News, client: Client) -> Addendum:
    """All that the news mean for the base, whose own keys `client` holds."""
    entering = Entering.of(base, news)
    own = entering.likeness
    return Addendum(
        base=base.generation,
        count=len(base.ids),
        new=tuple(entering.ids[entering.known :]),
        changed=tuple(entering.places[: entering.known].tolist()),
        categories=np.array([category_number(row["category"]) for row in entering.rows], dtype=np.int32),
        vectors=unit_vectors(own.baskets, own.text, base.recommender.axes, rank=base.meta["rank"]),
        near=dict(_near(base, news, entering, client)),
        priced=dict(_priced(base, news, client)),
        paths=tuple(sorted({row["category"] for row in entering.rows})),
    )


def _near(base: Base, news: News, entering: Entering, client: Client) -> Iterator[tuple[bytes, bytes]]:
    """Neighbours of what enters, and those of the products that it is now a neighbour of."""
    params, catalogue = conf.load("models", ModelParams).lists, base.recommender.catalogue
    touched = np.array(list(news.versions), dtype=np.str_)
    among = np.arange(min(params.neighbour_targets, len(catalogue)))
    among = np.setdiff1d(among, catalogue.numbers(touched))  # they stand elsewhere now, or nowhere
    own = entering.likeness
    both = Likeness(
        np.concatenate([base.likeness.baskets[among], own.baskets]),
        np.concatenate([base.likeness.text[among], own.text]),
    )
    places = np.concatenate([base.indexes(catalogue.ids[among].tolist()), entering.places])
    rows = len(among) + np.arange(len(entering.ids))
    found, scores, sources = both.neighbours(rows, k=params.neighbours, targets=len(places))
    scope = {name: place for place, name in enumerate(base.meta["scopes"])}
    nearer: dict[int, list[tuple[float, int, int]]] = {}
    for row, (id, place) in enumerate(zip(entering.ids, entering.places.tolist(), strict=True)):
        alike = found[row] >= 0
        items, likeness = places[found[row][alike]].tolist(), scores[row][alike].tolist()
        codes = [keys.SOURCE_CODES[name] for name in sources[row][alike].tolist()]
        category = nearest_scope(scope, entering.rows[row]["category"])
        yield uuid_of(id), keys.encode_neighbours(category, items, likeness, codes)
        for item, score, code in zip(items, likeness, codes, strict=True):
            nearer.setdefault(item, []).append((score, place, code))
    outside = {item: more for item, more in nearer.items() if item not in set(entering.places.tolist())}
    products = {item: uuid_of(base.ids[item].decode()) for item in outside}
    elsewhere = {*base.indexes(touched.tolist()).tolist(), *entering.places.tolist()}
    names = [keys.neighbours_key(base.generation, product) for product in products.values()]
    for (item, product), value in zip(products.items(), _held(client, names), strict=True):
        if value is None:
            raise PublishError(f"{base.generation}: the neighbours of a product are gone from Redis")
        yield product, _with(value, outside[item], elsewhere)


def _with(value: bytes, more: Sequence[tuple[float, int, int]], elsewhere: set[int]) -> bytes:
    """A product's neighbours with more of them; products that stand elsewhere now are left out."""
    scope, ranked = keys.decode_neighbours(value, LONGEST_LIST)
    before = zip(ranked.scores, ranked.items, ranked.sources, strict=True)
    left = [entry for entry in before if entry[1] not in elsewhere]
    ordered = sorted([*left, *more], key=lambda entry: -entry[0])[:LONGEST_LIST]
    scores, items, sources = zip(*ordered, strict=True)
    return keys.encode_neighbours(scope, items, scores, sources)


def _priced(base: Base, news: News, client: Client) -> Iterator[tuple[bytes, bytes]]:
    """Signals of the products whose price is another than in the base; 0 of those that have none any more."""
    priced = {
        uuid_of(id): row
        for id, row in sorted(news.prices.items())
        if news.versions.get(id, {}).get("status", "active") == "active"
    }
    names = [keys.signal_key(base.generation, product) for product in priced]
    for (product, row), value in zip(priced.items(), _held(client, names), strict=True):
        price = {"currency": row["currency"], "price_minor": row["price_minor"]}
        price["list_price_minor"] = row["list_price_minor"] or row["price_minor"]
        if value is None:
            if not row["price_minor"]:
                continue
            effect = _effect(base, row["product_id"], _category(base, news, row["product_id"]))
            signal = PriceSignal(**price, cost_minor=None, **effect, weekly_units=0.0)
        else:
            before = keys.decode_signal(value)
            signal = before._replace(**price, weekly_units=_repriced(before, row["price_minor"]))
        if (encoded := keys.encode_signal(signal)) != value:
            yield product, encoded


def _repriced(signal: PriceSignal, price_minor: int) -> float:
    """Weekly units at another price, as pipelines.price_signals expects them; without a price none."""
    if not price_minor:
        return 0.0
    moved = signal.elasticity * math.log(price_minor / signal.price_minor)
    return signal.weekly_units * math.exp(max(-MOST_REPRICED, min(MOST_REPRICED, moved)))


def _effect(base: Base, product_id: str, category: str) -> dict[str, Any]:
    """The product's own price effect, or that of the nearest node above it."""
    path = (
        ("product", product_id),
        ("category", category),
        ("department", category.partition("/")[0]),
        ("all", ""),
    )
    found = next(base.effects[node] for node in path if node in base.effects)
    return dict(zip(("elasticity", "elasticity_se", "identified_by"), found, strict=True))


def _category(base: Base, news: News, product_id: str) -> str:
    if product_id in news.versions:
        return str(news.versions[product_id]["category"])
    [number] = base.recommender.catalogue.numbers(np.array([product_id]))
    return str(base.recommender.catalogue.categories[number]) if number >= 0 else ""


def _held(client: Client, names: Sequence[bytes]) -> Iterator[bytes | None]:
    for start in range(0, len(names), CHUNK_KEYS):
        yield from client.mget(names[start : start + CHUNK_KEYS])
