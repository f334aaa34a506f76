"""Personalised offers on the real year: who uses a campaign's coupons, which ones, and what fairness costs.

Rolling origin: campaigns 14, 16, 17, 18 and 19 are each scored by a model that learned from campaigns which had ended
before it began, by what had happened before its first day. Settings are chosen on campaigns 8 to 13 (`--tuning`). The
year has no hold-out: nothing here says what coupons sold. That is shown on simulated shoppers, apart.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from benchmarks import offers_simulated
from benchmarks.offers_journey import Journey, read
from contracts.conf import load
from models.offer_assignment import UNRECORDED, Options, choose
from models.offer_coupons import coupon_scores
from models.offer_features import NAMES, features
from models.offer_world import YEAR_DAYS, Flags, Floats, Ints, bought
from models.offers import OfferParams, Response, boosted, mean_score, probability

LEARNED = (27, *range(1, 14))
TESTED, TUNED = (14, 16, 17, 18, 19), (8, 9, 10, 11, 12, 13)
RANKED, RANKED_TUNING = 18, 13  # the campaigns whose coupons differ enough to be ranked
TOP_SHARE, BOOTSTRAPS, K = 0.2, 200, 10
LIFT_SHARE = 0.1


@dataclass(frozen=True)
class Scored:
    """A tested campaign."""

    users: Ints  # (pairs,)
    redeemed: Flags  # (pairs,)
    scores: dict[str, Floats]  # by model: (pairs,)


@dataclass(frozen=True)
class Year:
    """The real year, and the features of its campaigns, each made once."""

    journey: Journey
    params: OfferParams
    made: dict[int, tuple[Floats, Flags, Ints]]

    @cached_property
    def place(self) -> dict[int, int]:
        """Position of a campaign, by its number in the source."""
        return {int(number): place for place, number in enumerate(self.journey.numbers)}

    def pairs(self, number: int) -> tuple[Floats, Flags, Ints]:
        """Features, whether redeemed, and shopper of each addressed pair of the campaign."""
        if number not in self.made:
            world, campaign = self.journey.world, self.place[number]
            mine = world.addressed.campaign == campaign
            users = world.addressed.user[mine]
            known = world.known_before(int(world.campaigns.first_day[campaign]))
            table = features(known, campaign, users, self.params.features, self.params.coupons)
            self.made[number] = (table, world.redeemed()[mine], users)
        return self.made[number]

    def ended_before(self, number: int, pool: tuple[int, ...]) -> list[int]:
        """Of these campaigns those that had ended when the campaign began."""
        plan, begin = self.journey.world.campaigns, self.place[number]
        return [one for one in pool if plan.last_day[self.place[one]] < plan.first_day[begin]]


def main(arguments: list[str]) -> dict[str, Any]:
    """Runs the protocol and prints one JSON line last."""
    known = argparse.ArgumentParser(prog="offers", description=__doc__)
    known.add_argument("--tuning", action="store_true", help="judge on campaigns 8 to 13, by which settings are chosen")
    known.add_argument("--seeds", type=int, default=5, help="of the simulated shoppers")
    chosen = known.parse_args(arguments)
    year = Year(read(), load("offers", OfferParams), {})
    tested, ranked = (TUNED, RANKED_TUNING) if chosen.tuning else (TESTED, RANKED)
    # What a campaign of the test may learn from are all others that had ended, those of the test too.
    pool = tuple(number for number in (*LEARNED, *TESTED) if not chosen.tuning or number in LEARNED)
    scored = {number: score(year, number, pool) for number in tested}
    report = response_report(scored)
    coupons = coupon_report(year, ranked)
    report["coupon_recall10"] = coupons["purchases_with_coupons"]["recall10"]
    report["coupons"] = coupons
    report |= fairness_report(year, scored)
    report["simulated"] = {
        world: offers_simulated.run(world, year.params, chosen.seeds) for world in offers_simulated.WORLDS
    }
    report["campaigns"] = list(tested)
    print(json.dumps(report))
    return report


def score(year: Year, number: int, pool: tuple[int, ...]) -> Scored:
    params = year.params
    before = [year.pairs(one) for one in year.ended_before(number, pool)]
    table, redeemed = np.vstack([one[0] for one in before]), np.concatenate([one[1] for one in before])
    asked, truth, users = year.pairs(number)
    model = Response.fit(table, redeemed, params.response, seed=params.seed)
    alone = boosted(table, redeemed, params.response.alone, seed=params.seed)
    scores = {
        "model": model.predict(asked),
        "logistic": probability(model.log_odds(asked)),
        "lightgbm": probability(mean_score(alone, asked)),
        "type_times_household": asked[:, NAMES.index("kind_times_own")],
        "household_rate": asked[:, NAMES.index("own_rate")],
        "type_rate": asked[:, NAMES.index("kind_rate")],
        "random": np.random.default_rng(params.seed + number).random(len(users)),
    }
    _say(f"campaign {number}: {len(users)} shoppers, {truth.sum()} redeemed, learned from {len(redeemed)} pairs")
    return Scored(users, truth, scores)


def response_report(scored: dict[int, Scored]) -> dict[str, Any]:
    """Figures of the model, its interval and calibration, and of the baselines beside it."""
    parts = list(scored.values())
    users, truth = (np.concatenate([getattr(one, name) for one in parts]) for name in ("users", "redeemed"))
    pooled = {name: np.concatenate([one.scores[name] for one in parts]) for name in parts[0].scores}
    figures = {name: _figures(truth, score) for name, score in pooled.items()}
    for name, figure in figures.items():
        each = [_figures(one.redeemed, one.scores[name]) for one in parts]
        figure |= {f"campaign_{key}": round(float(np.mean([one[key] for one in each])), 4) for key in ("auc", "ap")}
    best, strongest = pooled["model"], pooled["type_times_household"]
    samples = _resampled(users)
    ahead = [roc_auc_score(truth[one], best[one]) - roc_auc_score(truth[one], strongest[one]) for one in samples]
    model = figures.pop("model")
    return model | {
        "auc_interval95": _interval([float(roc_auc_score(truth[one], best[one])) for one in samples]),
        "auc_minus_type_times_household95": _interval([float(one) for one in ahead]),
        "calibration": _calibration(truth, best),
        "pairs": len(truth),
        "redeemed": int(truth.sum()),
        "baselines": figures,
        "per_campaign_auc": {str(n): round(float(roc_auc_score(one.redeemed, one.scores["model"])), 4)
                             for n, one in scored.items()},
    }  # fmt: skip


def _figures(truth: Flags, score: Floats) -> dict[str, float]:
    top = np.argsort(-score, kind="stable")[: max(1, round(len(score) * LIFT_SHARE))]
    return {
        "auc": round(float(roc_auc_score(truth, score)), 4),
        "ap": round(float(average_precision_score(truth, score)), 4),
        "lift10": round(float(truth[top].mean() / truth.mean()), 2),
    }


def _resampled(users: Ints) -> list[Ints]:
    """Pairs of households drawn with replacement."""
    draw, households = np.random.default_rng(0), np.unique(users)
    rows = {user: np.flatnonzero(users == user) for user in households}
    return [
        np.concatenate([rows[user] for user in draw.choice(households, len(households))]) for _ in range(BOOTSTRAPS)
    ]


def _interval(values: list[float]) -> list[float]:
    return [round(float(one), 4) for one in np.quantile(values, [0.025, 0.975])]


def _calibration(truth: Flags, score: Floats) -> list[list[float]]:
    """Predicted and actual rate by quintile of the prediction, the highest split in two."""
    edges = np.quantile(score, [0.2, 0.4, 0.6, 0.8, 0.9])
    place = np.searchsorted(edges, score, side="right")
    groups = [place == one for one in range(len(edges) + 1)]
    return [[round(float(score[one].mean()), 3), round(float(truth[one].mean()), 3)] for one in groups]


def coupon_report(year: Year, number: int) -> dict[str, dict[str, float]]:
    """How well the coupons that redeeming households used are found among all of the campaign."""
    world, campaign = year.journey.world, year.place[number]
    plan, used = world.campaigns, world.redemptions
    mine = plan.coupon_campaign[used.coupon] == campaign
    users, coupons = np.unique(used.user[mine]), plan.coupons(campaign)
    truth = np.zeros((len(users), len(coupons)), dtype=bool)
    truth[np.searchsorted(users, used.user[mine]), np.searchsorted(coupons, used.coupon[mine])] = True
    first = int(plan.first_day[campaign])
    known = world.known_before(first)
    good_for = plan.good_for(campaign, known.products)
    own = (bought(known, users, first, YEAR_DAYS) @ good_for).toarray()
    everybody = bought(known, np.arange(known.users), first, YEAR_DAYS) @ good_for
    popular = np.maximum(np.asarray(everybody.sum(axis=0)).ravel(), 1)
    scores = {
        "purchases_with_coupons": coupon_scores(known, campaign, users, year.params.coupons),
        "purchases_by_root_popularity": own / np.sqrt(popular),
        "purchases": own,
        "popular": np.broadcast_to(popular, own.shape),
        "random": np.random.default_rng(year.params.seed).random(own.shape),
    }
    return {name: _ranking(truth, score) for name, score in scores.items()}


def _ranking(truth: Flags, score: Floats) -> dict[str, float]:
    order = np.argsort(-score, axis=1, kind="stable")[:, :K]
    hits, used = np.take_along_axis(truth, order, axis=1), truth.sum(axis=1)
    discount = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(discount)[np.minimum(used, K) - 1]
    return {
        "hit10": round(float(hits.any(axis=1).mean()), 4),
        "recall10": round(float((hits.sum(axis=1) / used).mean()), 4),
        "ndcg10": round(float((hits @ discount / ideal).mean()), 4),
    }


def fairness_report(year: Year, scored: dict[int, Scored]) -> dict[str, Any]:
    """A fifth of all pairs is chosen by response alone and under the limit: ratios, and what the limit costs."""
    parts = list(scored.values())
    users, truth = (np.concatenate([getattr(one, name) for one in parts]) for name in ("users", "redeemed"))
    response = np.concatenate([one.scores["model"] for one in parts])
    groups = {name: numbered(values[users]) for name, values in year.journey.groups.items()}
    every = np.arange(len(users))
    options = Options(every, np.zeros_like(every), response, np.ones(len(every)), np.ones_like(every), groups)
    budget = round(TOP_SHARE * len(every))
    made: dict[str, Any] = {}
    for name, fair in (("response_alone", False), ("constrained", True)):
        chosen = choose(options, budget, year.params.assignment, fair=fair)
        made[name] = {
            "ratios": {attribute: round(ratio, 3) for attribute, ratio in chosen.ratios.items()},
            "alarm": chosen.alarm,
            "expected_response": round(float(response[chosen.pairs].sum()), 1),
            "redeemed": int(truth[chosen.pairs].sum()),
            "chosen": int(chosen.pairs.sum()),
        }
    naive, limited = made["response_alone"], made["constrained"]
    cost = 1 - limited["expected_response"] / naive["expected_response"]
    return {
        "selection_ratio": min(limited["ratios"].values()),
        "fairness": made | {"cost_in_expected_response": round(cost, 4),
                            "cost_in_redeemed": round(1 - limited["redeemed"] / naive["redeemed"], 4)},
    }  # fmt: skip


def numbered(values: Any) -> Ints:
    """Groups by number; what is not recorded is UNRECORDED."""
    names = np.unique(values[values != ""])
    return np.where(values == "", UNRECORDED, np.searchsorted(names, values))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
