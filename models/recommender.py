"""The recommender as one artefact: the catalogue, what was learned about its products, and the chosen weights."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import numpy as np
from scipy.sparse import csr_matrix

from models.als import Factors
from models.shoppers import Catalogue, Scores


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
class Recommender:
    """All that ranking needs, and nothing that grows with the number of shoppers."""

    catalogue: Catalogue
    factors: Factors
    content: Scores  # (items, rank), unit length
    blend: BlendParams

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.factors.save(folder / "factors.npz")
        np.save(folder / "content.npy", self.content)
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
            BlendParams(**chosen, slots=slots),
        )


PLAIN = ("ids", "categories", "orders_7d", "orders_28d", "orders_all", "users_all", "channels")


def assemble(catalogue: Catalogue, factors: Factors, content: Scores, blend: BlendParams) -> Recommender:
    """The recommender over `catalogue` with product vectors from either engine, in whatever order they came."""
    known = {product: number for number, product in enumerate(factors.ids.tolist())}
    numbers = np.array([known.get(product, -1) for product in catalogue.ids.tolist()], dtype=np.int64)
    return Recommender(catalogue, factors.renumbered(catalogue.ids, numbers), content, blend)
