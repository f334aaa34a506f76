"""Fifth step: judge the recommender on weeks that it did not see, and let it serve if it holds its own."""

import math
from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial

from contracts import conf
from contracts.tables import CLICKS, INTERACTIONS
from features.histories import histories
from models import peers
from models.beyond_accuracy import Assortment, Details
from models.blend import candidates, rank
from models.evaluate import K, Tally, Truth
from models.params import ModelParams
from models.recommender import Recommender
from models.shoppers import Shoppers
from pipelines import learning
from pipelines.build_features import FeatureParams
from pipelines.lake import Lake
from pipelines.report import page
from pipelines.settings import Settings
from pipelines.spark import session
from pipelines.tracking import CHAMPION, Tracking, Version
from pipelines.train import HELD_OUT, NAME

SLOT_OF = {"next": "for_you", "discover": "discover"}
CERTAIN = 2.0  # standard errors of the paired difference below which a loss is noise


def run(day: date, settings: Settings | None = None) -> dict[str, object]:
    """Judge the version trained for `day`; its metrics, its peers', and whether it serves from now on."""
    settings = settings or Settings()
    tracking = Tracking(settings.mlflow_tracking_uri)
    version = tracking.newest(NAME, day=day)
    tallies = _tallies(version, day, settings, tracking)
    report: dict[str, object] = {"version": version.number, "metrics": metrics(tallies)}
    tracking.measured(version, _flat(tallies))
    losses = lost(tallies)
    if losses:
        serves = False
        reason = "; ".join(losses)
        tracking.refuse(version, day=day, reason=reason)
    else:
        reason = "holds its own on the held-out weeks" if tallies else "not judged: too little history"
        serves = tracking.promote(version, day=day, reason=reason)
        report["reason"] = reason
    champion = tracking.version(NAME, CHAMPION)
    report |= {"promoted": serves, "lost": losses, "champion": champion.number if champion else None}
    lake = Lake(settings.lake_uri)
    lake.report(f"evaluate/{day}.json", report)
    verdict = f"Version {version.number} {'serves' if serves else 'does not serve'}: {reason}."
    lake.page(f"evaluate/{day}.html", page(day, tallies, verdict=verdict))
    return report


def _tallies(version: Version, day: date, settings: Settings, tracking: Tracking) -> dict[str, Tally]:
    """Product and peers on the held-out weeks by task; empty when the model was not held out from any."""
    with tracking.folder(version) as folder:
        if not (folder / HELD_OUT).is_dir():
            return {}
        recommender = Recommender.load(folder / HELD_OUT)
    spark, lake = session(settings), Lake(settings.lake_uri)
    as_of = day + timedelta(days=1)
    window = conf.load("models", ModelParams).tuning.window_days
    half_life_days = conf.load("features", FeatureParams).user_product.half_life_days
    first = as_of - timedelta(days=window)
    interactions, clicks = (lake.frame(spark, table, days=(date.min, as_of)) for table in (INTERACTIONS, CLICKS))
    own = histories(interactions, clicks, as_of=first, half_life_days=half_life_days)
    rows = learning.judged(own, interactions, as_of=first, days=window)
    assortment = Assortment.of(recommender.catalogue.users_all, recommender.catalogue.categories)
    tallies = learning.tallied(rows, recommender, partial(judge, assortment))
    return {task: tally for task, tally in tallies.items() if tally.shoppers}


def judge(assortment: Assortment, recommender: Recommender, shoppers: Shoppers, truth: Truth) -> dict[str, Tally]:
    """One block's tally of the product and its peers, for both tasks."""
    ranked = rank(recommender, shoppers, candidates(recommender, shoppers), tuple(SLOT_OF.values()), K)
    simple = peers.lists(peers.scores(recommender, shoppers), shoppers)
    details = Details(shoppers.orders, assortment)
    truths = {"next": truth, "discover": truth.new(shoppers.orders)}
    tallies = {}
    for task, slot in SLOT_OF.items():
        tallies[task] = Tally.of({"product": ranked[slot].items, **simple[task]}, truths[task], details)
    return tallies


def lost(tallies: Mapping[str, Tally]) -> list[str]:
    """Peers that the product is worse than by more than chance."""
    losses = []
    for task, tally in tallies.items():
        for peer in peers.GATES[task]:
            difference, error = tally.difference("product", peer)
            if not math.isnan(error) and difference + CERTAIN * error < 0:
                losses.append(f"{task}: nDCG@10 {difference:+.4f} ± {error:.4f} against {peer}")
    return losses


def metrics(tallies: Mapping[str, Tally]) -> dict[str, object]:
    """The product's figures by task, and its peers' nDCG@10; empty when nothing was judged."""
    if not tallies:
        return {}
    product = {
        task: {
            **{metric: round(tally.mean("product", metric), 4) for metric in ("ndcg10", "recall10_capped", "hr10")},
            "ndcg10_error": _finite(tally.error("product")),
            "shoppers": tally.shoppers,
        }
        for task, tally in tallies.items()
    }
    beside = {
        task: {name: round(tally.mean(name), 4) for name in tally.names if name != "product"}
        for task, tally in tallies.items()
    }
    return {**product, "peers": beside}


def _flat(tallies: Mapping[str, Tally]) -> dict[str, float]:
    """Every mean under one name, for MLflow."""
    return {
        f"{task}.{name}.{metric}": tally.mean(name, metric)
        for task, tally in tallies.items()
        for name in tally.names
        for metric in ("ndcg10", "recall10_capped", "hr10")
    }


def _finite(error: float) -> float | None:
    """JSON has no NaN: one shopper alone has no standard error."""
    return None if math.isnan(error) else round(error, 4)
