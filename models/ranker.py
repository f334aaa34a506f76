"""Learning to rank: gradient boosted trees put the candidates of a slot in order.

LightGBM learns from earlier windows of the shop's own history: candidates and features as they were before the window,
labels what was bought in it. Each window grows trees of its own, and their scores are averaged: trees that differ err
differently, and are worth more than those grown from all windows at once (docs/adr/0010).

For the same reason a slot may have several objectives. LambdaRank (Burges, "From RankNet to LambdaRank to LambdaMART",
2010) looks at pairs of a shopper's products, XE-NDCG (Bruch, "An Alternative Cross Entropy Loss for Learning-to-Rank",
2021) at each shopper's list, the binary objective at each product alone.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models.shoppers import Numbers, Scores

Labels = NDArray[np.bool_]

INDEX = "rankers.json"
SPREAD_ROWS = 100_000  # pairs that tell how wide a ranker's scores are


@dataclass(frozen=True, slots=True)
class SlotRanker:
    """conf/models.toml [ranker.slots.*]."""

    trees: int
    leaves: int
    negatives: int
    """Candidates that each shopper did not buy in the window and that are learned from, drawn from all alike."""
    objectives: tuple[str, ...]
    """LightGBM's name of the objective of each of a window's rankers; the rankers' scores are averaged."""


@dataclass(frozen=True, slots=True)
class RankerParams:
    """conf/models.toml [ranker]."""

    windows: int
    """Windows of history that are learned from, the newest first; with 0 the blend ranks."""
    shoppers: int
    """Most shoppers of a window that are learned from."""
    least_groups: int
    """With fewer shoppers who bought any candidate in the newest window, the blend ranks; older ones teach nothing."""
    learning_rate: float
    least_leaf: int
    row_share: float
    feature_share: float
    truncation: int
    """Places at the top of a list that count."""
    bins: int
    voices: tuple[str, ...]
    """Sources of candidates (models.voices) beside those that the blend adds up."""
    features: tuple[str, ...]
    """Names in models.ranking_features, and each source's voice: as such, and with _share per shopper."""
    slots: dict[str, SlotRanker]


@dataclass(frozen=True)
class Frame:
    """Pairs of one window to learn from, a shopper's together."""

    table: Scores  # (pairs, features)
    labels: Labels  # (pairs,) bought in the window
    groups: Numbers  # (shoppers,) pairs of each


@dataclass(frozen=True)
class Trees:
    """One ranker of a slot."""

    booster: lgb.Booster
    spread: float
    """Standard deviation of its scores where it learned: the measure in which it is averaged with others."""


@dataclass(frozen=True)
class Rankers:
    """The rankers of each slot, the sources that they listen to, and the features that they want, in order."""

    voices: tuple[str, ...]
    features: tuple[str, ...]
    trees: dict[str, list[Trees]]

    @classmethod
    def none(cls) -> Self:
        """Every slot is ranked by the blend."""
        return cls((), (), {})

    def scores(self, slot: str, table: Scores) -> Scores:
        """Mean of the slot's rankers, unitless, higher is better. `table` (pairs, features)"""
        several = [
            np.asarray(trees.booster.predict(table, raw_score=True, num_threads=1)) / trees.spread
            for trees in self.trees[slot]
        ]
        return np.asarray(np.mean(several, axis=0), dtype=np.float32)

    def save(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        spreads = {slot: [trees.spread for trees in several] for slot, several in self.trees.items()}
        (folder / INDEX).write_text(
            json.dumps({"voices": self.voices, "features": self.features, "spreads": spreads}, indent=1)
        )
        for slot, several in self.trees.items():
            for number, trees in enumerate(several):
                trees.booster.save_model(folder / f"{slot}.{number}.txt")

    @classmethod
    def load(cls, folder: Path) -> Self:
        if not (folder / INDEX).exists():  # saved by a version that had no trees
            return cls.none()
        index = json.loads((folder / INDEX).read_text())
        return cls(
            tuple(index["voices"]),
            tuple(index["features"]),
            {
                slot: [
                    Trees(lgb.Booster(model_file=folder / f"{slot}.{number}.txt"), spread)
                    for number, spread in enumerate(spreads)
                ]
                for slot, spreads in index["spreads"].items()
            },
        )


def fit(frame: Frame, slot: str, params: RankerParams, *, seed: int) -> list[Trees]:
    """The slot's rankers that one window teaches."""
    chosen = params.slots[slot]
    data = lgb.Dataset(
        frame.table,
        frame.labels.astype(np.float32),
        group=frame.groups,
        feature_name=list(params.features),
        params={"max_bin": params.bins, "verbose": -1},
    )
    settings = {
        "lambdarank_truncation_level": params.truncation,
        "num_leaves": chosen.leaves,
        "learning_rate": params.learning_rate,
        "min_data_in_leaf": params.least_leaf,
        "bagging_fraction": params.row_share,
        "bagging_freq": 1,
        "feature_fraction": params.feature_share,
        "max_bin": params.bins,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }
    learned = []
    for turn, objective in enumerate(chosen.objectives):
        booster = lgb.train(settings | {"objective": objective, "seed": seed + turn}, data, chosen.trees)
        spread = float(np.std(booster.predict(frame.table[:: len(frame.table) // SPREAD_ROWS + 1], raw_score=True)))
        learned.append(Trees(booster, spread or 1.0))
    return learned


def sampled(labels: Labels, negatives: int, draw: np.random.Generator) -> Numbers:
    """Positions of one shopper's pairs to learn from: all that were bought, and some that were not.

    Drawn alike from all: were own products drawn more often than new ones, the trees would take new ones for better.
    """
    missed = np.flatnonzero(~labels)
    if len(missed) > negatives:
        missed = draw.choice(missed, negatives, replace=False)
    return np.sort(np.concatenate([np.flatnonzero(labels), missed]))
