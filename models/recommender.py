"""The recommender as one artefact: the catalogue, what was learned about its products, and the chosen weights."""

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from models.als import Factors
from models.content import TextSpace
from models.ease import Ease
from models.neighbours import Neighbours
from models.ranker import Rankers
from models.shoppers import Catalogue, Numbers, Scores


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each model says in one slot; each model's scores are divided by the shopper's highest first."""

    repeat: float
    collaborative: float
    content: float
    """Fades with the shopper's orders: see BlendParams.cold_orders."""
    popular: float
    nearby: float


@dataclass(frozen=True, slots=True)
class BlendParams:
    """conf/models.toml [blend]: the weights are those used when a shop is too young to choose its own."""

    candidates: int
    """Products that each model proposes for a shopper, besides all their own."""
    memory: float
    """Weight of an order however old, beside the one that decays."""
    prior_orders: float
    """Orders like the whole shop's that a channel's popularity is shrunk by."""
    cold_orders: float
    """Product orders at which content counts half."""
    buyers: int
    """Shoppers who must have bought a product before baskets say what resembles it."""
    slots: dict[str, Weights]
    """By contracts.tables.SLOTS."""


@dataclass(frozen=True)
class Learned:
    """Sources of candidates that remember some shoppers, the anchors."""

    ease: Ease
    """Strongly regularised: what goes with what the shopper buys."""
    habit: Ease
    """Weakly regularised: close to what the shopper buys."""
    kin: Neighbours
    """What neighbours buy."""
    kin_new: Neighbours
    """What neighbours lately bought for the first time."""

    def renumbered(self, numbers: Numbers, width: int) -> Self:
        """The same for a catalogue of `width` products in which the old number c is numbers[c], or -1."""
        return type(self)(**{name: part.renumbered(numbers, width) for name, part in vars(self).items()})

    def save(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        for name, part in vars(self).items():
            part.save(folder / f"{name}.npz")

    @classmethod
    def load(cls, folder: Path) -> Self:
        ease, habit = (Ease.load(folder / f"{name}.npz") for name in ("ease", "habit"))
        kin, kin_new = (Neighbours.load(folder / f"{name}.npz") for name in ("kin", "kin_new"))
        return cls(ease, habit, kin, kin_new)


@dataclass(frozen=True)
class Recommender:
    """All that ranking needs, and nothing that grows with the number of shoppers."""

    catalogue: Catalogue
    factors: Factors
    content: Scores  # (items, rank), unit length
    texts: TextSpace
    """What `content` was made by, and will be for a product that is new later."""
    axes: Scores
    """How published vectors are turned: models.session.turning of the products it was learned from."""
    sources: Learned | None
    """None where the blend ranks: it asks none of them."""
    blend: BlendParams
    rankers: Rankers
    """By slot; a slot without one is ranked by the blend."""

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.factors.save(folder / "factors.npz")
        np.save(folder / "content.npy", self.content)
        self.texts.save(folder / "texts.npz")
        np.save(folder / "axes.npy", self.axes)
        if self.sources is not None:
            self.sources.save(folder / "sources")
        self.rankers.save(folder / "rankers")
        sold = self.catalogue.channel_orders
        arrays = {name: getattr(self.catalogue, name) for name in PLAIN}
        arrays |= {"cells": sold.data, "columns": sold.indices, "starts": sold.indptr}
        np.savez(folder / "catalogue.npz", allow_pickle=False, **arrays)
        (folder / "blend.json").write_text(json.dumps(asdict(self.blend), indent=1))

    @classmethod
    def load(cls, folder: Path) -> Self:
        with np.load(folder / "catalogue.npz") as stored:
            shape = (len(stored["channels"]), len(stored["ids"]))
            sold = csr_matrix((stored["cells"], stored["columns"], stored["starts"]), shape=shape)
            catalogue = Catalogue(**{name: stored[name] for name in PLAIN}, channel_orders=sold)
        chosen = json.loads((folder / "blend.json").read_text())
        slots = {slot: Weights(**weights) for slot, weights in chosen.pop("slots").items()}
        return cls(
            catalogue,
            Factors.load(folder / "factors.npz"),
            np.load(folder / "content.npy"),
            TextSpace.load(folder / "texts.npz"),
            np.load(folder / "axes.npy"),
            Learned.load(folder / "sources") if (folder / "sources").is_dir() else None,
            BlendParams(**chosen, slots=slots),
            Rankers.load(folder / "rankers"),
        )


PLAIN = tuple(field.name for field in fields(Catalogue) if field.name != "channel_orders")


def assemble(
    catalogue: Catalogue,
    factors: Factors,
    content: Scores,
    texts: TextSpace,
    axes: Scores,
    sources: Learned | None,
    blend: BlendParams,
    rankers: Rankers,
) -> Recommender:
    """The recommender over `catalogue` with product vectors from either engine, in whatever order they came."""
    known = {product: number for number, product in enumerate(factors.ids.tolist())}
    numbers = np.array([known.get(product, -1) for product in catalogue.ids.tolist()], dtype=np.int64)
    own = factors.renumbered(catalogue.ids, numbers)
    return Recommender(catalogue, own, content, texts, axes, sources, blend, rankers)
