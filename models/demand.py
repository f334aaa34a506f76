"""How many units a product will sell in a coming week at a given price: forecasts for 1 to 8 weeks, with intervals.

Two forecasts are averaged, because they err differently: the trailing mean re-priced by the price effects of
models.elasticity, and gradient boosted trees (Tweedie, monotone in the product's own price) that correct that mean by
what they see of lags, prices and promotions. Held-out weeks correct the level and tell how wide the intervals are; then
the trees grow once more on all weeks.
Prices and promotions of the forecast week count as a known plan. Sales are known up to the origin, `horizon` weeks
before it. Weeks out of stock (units NaN) are neither learned from nor counted in any lag.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

import lightgbm as lgb
import numpy as np
from numpy.typing import NDArray

from models.demand_features import CATEGORICAL, FEATURES, LAGS, Panel, Past
from models.elasticity import Effects, Floats, Ints, Strings

Table = NDArray[np.float32]

LEARNED = "demand.json"
LEAST_START = 0.3  # units from which trees set out at least: from nearer to zero the log link overshoots
LEAST_MEAN = 0.1  # units below which a forecast's error is no longer measured in its own root


@dataclass(frozen=True, slots=True)
class DemandParams:
    """conf/demand.toml."""

    horizons: tuple[int, ...]  # weeks ahead that are judged, rising; others take the intervals of the next longer one
    learned_horizon: int  # weeks ahead at which trees learn; they forecast all others too
    lag_weeks: int  # first weeks of the panel, which only feed lags
    validation_weeks: int
    tree_share: float  # of the trees in the average; the rest is the re-priced mean
    features: tuple[str, ...]  # names in models.demand_features.FEATURES
    variance_power: float  # Tweedie: variance grows with this power of the mean; 1 is Poisson
    trees: int
    leaves: int
    learning_rate: float
    least_leaf: int
    row_share: float
    feature_share: float
    feature_bins: int
    seeds: tuple[int, ...]  # one ensemble of trees each; their mean counts
    bias_sd: float  # how far from 1 the correction of the level may typically be
    most_series: int  # that are learned from, those that sell most; all others are forecast by what these say
    coverage: float  # share of weeks that an interval is to hold
    bins: int  # of the forecast's level, each with an interval of its own
    most_bias: float  # a fit becomes champion with no more of it on the held-out weeks, up or down
    least_gain: float  # and when its error is at least so much smaller than that of the 8-week mean

    def __post_init__(self) -> None:
        if unknown := set(self.features) - FEATURES.keys():
            raise ValueError(f"no such features: {', '.join(sorted(unknown))}")
        if self.lag_weeks < self.learned_horizon + LAGS - 1:
            raise ValueError("lag_weeks must hold the lags")
        if list(self.horizons) != sorted(set(self.horizons)) or min(self.horizons, default=0) < 1:
            raise ValueError("horizons must be rising weeks from 1 on")

    @property
    def least_weeks(self) -> int:
        """Weeks that a fit needs: one to learn from, and LAGS before the farthest origin of the first held-out one."""
        return self.validation_weeks + max(self.lag_weeks + 1, max(self.horizons) + LAGS - 1)


@dataclass(frozen=True, slots=True)
class Forecast:
    """Units of each series in one week."""

    mean: Floats  # (series,)
    low: Floats  # (series,) ends of the interval
    high: Floats  # (series,)


@dataclass(frozen=True, slots=True)
class Width:
    """How far sales strayed from the forecasts of one horizon on held-out weeks, in square roots of the forecast."""

    level: Floats  # (bins,) mean forecast of the bin, rising
    low: Floats  # (bins,)
    high: Floats  # (bins,)

    @classmethod
    def of(cls, mean: Floats, units: Floats, params: DemandParams) -> Self:
        """Bins of equally many rows. Where zeros alone outweigh the lower tail, the upper one takes up the rest."""
        order = np.argsort(mean, kind="stable")
        parts = [part for part in np.array_split(order, params.bins) if len(part)]
        strayed = (units - mean) / np.sqrt(np.maximum(mean, LEAST_MEAN))
        low = np.array([np.quantile(strayed[part], (1 - params.coverage) / 2) for part in parts])
        missed = [(strayed[part] < end).mean() for part, end in zip(parts, low, strict=True)]
        upper = [min(1.0, params.coverage + miss) for miss in missed]
        high = np.array([np.quantile(strayed[part], share) for part, share in zip(parts, upper, strict=True)])
        return cls(np.array([mean[part].mean() for part in parts]), low, high)

    def around(self, mean: Floats) -> tuple[Floats, Floats]:
        scale = np.sqrt(np.maximum(mean, LEAST_MEAN))
        low, high = (mean + scale * np.interp(mean, self.level, end) for end in (self.low, self.high))
        return np.maximum(low, 0), np.maximum(high, 0)


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a fit that had not seen the held-out weeks said of them, before its level was corrected."""

    horizon: int
    wape: float  # error as a share of what was sold
    wape_mean: float  # that of the mean of the eight weeks before the origin
    bias: float  # of the total


@dataclass(frozen=True, slots=True)
class Demand:
    """A fitted forecaster for every series of products whose price effects, or those of their kind, are known."""

    params: DemandParams
    effects: Effects
    boosters: tuple[lgb.Booster, ...]
    category: Strings  # names in order of their codes
    department: Strings
    bias: Floats  # (horizons,) factor on the mean
    widths: tuple[Width, ...]  # one per horizon
    held_out: tuple[HeldOut, ...]  # one per horizon

    def forecast(self, panel: Panel, target: int, horizon: int) -> Forecast:
        """Units in week `target` of the panel, seen from `horizon` weeks before: later units are not looked at."""
        return self.of(Past.of(panel, self.effects), target, horizon)

    def of(self, past: Past, target: int, horizon: int) -> Forecast:
        """The same for a panel whose effects are laid out already."""
        row = min(int(np.searchsorted(self.params.horizons, horizon)), len(self.params.horizons) - 1)
        mean = self.bias[row] * self.blended(past, target, horizon)
        return Forecast(mean, *self.widths[row].around(mean))

    def blended(self, past: Past, target: int, horizon: int) -> Floats:
        """Mean of both forecasts before the correction of the level. (series,)"""
        share = self.params.tree_share
        repriced = (1 - share) * past.repriced(target, horizon)
        return repriced + share * self.grown(past, target, horizon) if share else repriced

    def grown(self, past: Past, target: int, horizon: int) -> Floats:
        """What the trees alone say. (series,)"""
        table = past.features(target, horizon, self._codes(past.panel), self.params.features)
        several = [np.asarray(booster.predict(table, raw_score=True, num_threads=1)) for booster in self.boosters]
        return np.asarray(_start(past, target, horizon) * np.exp(several).mean(axis=0), dtype=np.float64)

    def save(self, folder: Path) -> None:
        """All but the price effects and the settings, which are kept by those who know their form."""
        learned = {
            "category": self.category.tolist(),
            "department": self.department.tolist(),
            "bias": self.bias.tolist(),
            "widths": [{name: getattr(width, name).tolist() for name in Width.__slots__} for width in self.widths],
            "held_out": [asdict(one) for one in self.held_out],
            "ensembles": len(self.boosters),
        }
        (folder / LEARNED).write_text(json.dumps(learned, indent=1))
        for number, booster in enumerate(self.boosters):
            booster.save_model(folder / f"trees.{number}.txt")

    @classmethod
    def load(cls, folder: Path, effects: Effects, params: DemandParams) -> Self:
        learned = json.loads((folder / LEARNED).read_text())
        trees = [folder / f"trees.{number}.txt" for number in range(learned["ensembles"])]
        return cls(
            params,
            effects,
            tuple(lgb.Booster(model_file=file) for file in trees),
            np.array(learned["category"], dtype=np.str_),
            np.array(learned["department"], dtype=np.str_),
            np.array(learned["bias"]),
            tuple(Width(**{name: np.array(ends) for name, ends in width.items()}) for width in learned["widths"]),
            tuple(HeldOut(**one) for one in learned["held_out"]),
        )

    def _codes(self, panel: Panel) -> dict[str, Ints]:
        return codes(panel, self.category, self.department)


def codes(panel: Panel, category: Strings, department: Strings) -> dict[str, Ints]:
    """Numbers of each series' category and department, -1 for one that was not learned from."""
    found = {}
    for name, known, own in (("category", category, panel.category), ("department", department, panel.department)):
        at = np.minimum(np.searchsorted(known, own), len(known) - 1)
        found[name] = np.where(known[at] == own, at, -1)
    return found


def fit(panel: Panel, effects: Effects, judged: Effects, params: DemandParams) -> Demand:
    """Learn from all weeks of the panel, after its last `validation_weeks` have judged a fit that did not see them.

    `effects` were fitted on all these weeks, `judged` on those before the held-out ones.
    """
    end = panel.units.shape[1]
    if end < params.least_weeks:
        raise ValueError(f"{end} are too few weeks to learn demand from: {params.least_weeks} are needed")
    held_out = range(end - params.validation_weeks, end)
    names = np.unique(panel.category), np.unique(panel.department)
    past = Past.of(panel, judged)
    known = codes(panel, *names)
    learned = rows(past, range(params.lag_weeks, held_out.start), known, params)
    first = Demand(params, judged, _grown(learned, params), *names, np.ones(len(params.horizons)), (), ())
    bias, widths, told = _judge(first, past, held_out)
    every = rows(Past.of(panel, effects), range(params.lag_weeks, end), known, params)
    return Demand(params, effects, _grown(every, params), *names, bias, widths, told)


@dataclass(frozen=True, slots=True)
class Rows:
    """What trees learn from."""

    table: Table  # (rows, features)
    start: Floats  # (rows,) units that the trees correct
    units: Floats  # (rows,)


def _start(past: Past, target: int, horizon: int) -> Floats:
    return np.maximum(past.repriced(target, horizon), LEAST_START)


def rows(past: Past, targets: range, known: dict[str, Ints], params: DemandParams) -> Rows:
    """All of these weeks in which a series could sell."""
    tables, starts, units = [], [], []
    for target in targets:
        actual = past.panel.units[:, target]
        seen = np.isfinite(actual)
        tables.append(past.features(target, params.learned_horizon, known, params.features)[seen])
        starts.append(_start(past, target, params.learned_horizon)[seen])
        units.append(actual[seen])
    return Rows(np.concatenate(tables), np.concatenate(starts), np.concatenate(units))


def settings(params: DemandParams, seed: int) -> dict[str, object]:
    return {
        "objective": "tweedie",
        "tweedie_variance_power": params.variance_power,
        "num_leaves": params.leaves,
        "learning_rate": params.learning_rate,
        "min_data_in_leaf": params.least_leaf,
        "bagging_fraction": params.row_share,
        "bagging_freq": 1,
        "feature_fraction": params.feature_share,
        "monotone_constraints": [FEATURES[name] for name in params.features],
        "max_bin": params.feature_bins,
        "seed": seed,
        "num_threads": 1,
        "deterministic": True,
        "force_row_wise": True,
        "verbose": -1,
    }


def _grown(rows: Rows, params: DemandParams) -> tuple[lgb.Booster, ...]:
    """The trees of each seed."""
    names = list(params.features)
    data = lgb.Dataset(
        rows.table,
        rows.units,
        init_score=np.log(rows.start),
        feature_name=names,
        categorical_feature=[name for name in CATEGORICAL if name in names],
        params={"max_bin": params.feature_bins, "verbose": -1},
        free_raw_data=False,
    )
    return tuple(lgb.train(settings(params, seed), data, num_boost_round=params.trees) for seed in params.seeds)


def _judge(first: Demand, past: Past, held_out: range) -> tuple[Floats, tuple[Width, ...], tuple[HeldOut, ...]]:
    """What the held-out weeks say of each horizon: a factor that takes its bias away, widths around it, and errors."""
    bias, widths, told = [], [], []
    units = past.panel.units[:, held_out.start : held_out.stop].T  # (weeks, series)
    seen = np.isfinite(units)
    sold = max(float(units[seen].sum()), 1.0)
    for horizon in first.params.horizons:
        mean = np.stack([first.blended(past, target, horizon) for target in held_out])
        usual = np.stack([past.mean(target - horizon) for target in held_out])
        bias.append(_factor(np.where(seen, units, 0).sum(axis=1), np.where(seen, mean, 0).sum(axis=1), first.params))
        widths.append(Width.of(bias[-1] * mean[seen], units[seen], first.params))
        errors = [float(np.abs(one[seen] - units[seen]).sum()) / sold for one in (mean, usual)]
        told.append(HeldOut(horizon, errors[0], errors[1], float(mean[seen].sum() - units[seen].sum()) / sold))
    return np.array(bias), tuple(widths), tuple(told)


def _factor(units: Floats, forecast: Floats, params: DemandParams) -> float:
    """Mean ratio of weekly totals, pulled towards 1 as far as the weeks disagree about it."""
    known = (units > 0) & (forecast > 0)
    if known.sum() < 2:
        return 1.0
    ratios = np.log(units[known] / forecast[known])
    doubt = float(ratios.var(ddof=1)) / len(ratios)
    return float(np.exp(ratios.mean() * params.bias_sd**2 / (params.bias_sd**2 + doubt)))
