"""Choosing the blend's weights on a window before the one that judges them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product

from models.blend import Candidates, blended
from models.evaluate import K, Tally, Truth
from models.recommender import BlendParams, Weights
from models.shoppers import Shoppers


@dataclass(frozen=True, slots=True)
class TuningParams:
    """conf/models.toml [tuning]: what is tried on the weeks before the held-out ones."""

    window_days: int
    """Length of the held-out window, and of the tuning window before it."""
    min_shoppers: int
    """Fewer of them with purchases in the window choose nothing."""
    repeat_collaborative: tuple[float, ...]
    """Weights of collaborative tried in for_you and buy_again."""
    discover_popular: tuple[float, ...]
    discover_nearby: tuple[float, ...]
    """Weights tried in discover, where collaborative weighs 1."""


def trials(blend: BlendParams, params: TuningParams) -> dict[str, dict[str, Weights]]:
    """The weights to try for each slot, by a name that says them; those of conf first, so that they win a tie."""
    tried: dict[str, list[Weights]] = {
        slot: [replace(blend.slots[slot], collaborative=weight) for weight in params.repeat_collaborative]
        for slot in ("for_you", "buy_again")
    }
    tried["discover"] = [
        replace(blend.slots["discover"], popular=popular, nearby=nearby)
        for popular, nearby in product(params.discover_popular, params.discover_nearby)
    ]
    return {
        slot: {name(weights): weights for weights in (blend.slots[slot], *several)} for slot, several in tried.items()
    }


def name(weights: Weights) -> str:
    return " ".join(f"{model}={getattr(weights, model):g}" for model in Weights.__slots__)


def judge(
    found: Candidates, shoppers: Shoppers, truth: Truth, tried: Mapping[str, Mapping[str, Weights]]
) -> dict[str, Tally]:
    """One block's tally of every trial; discover is judged on what was never bought before, the others on all."""
    new = truth.new(shoppers.orders)
    return {
        slot: Tally.of(
            {label: blended(found, slot, weights, K).items for label, weights in several.items()},
            new if slot == "discover" else truth,
        )
        for slot, several in tried.items()
    }


def chosen(blend: BlendParams, tallies: Mapping[str, Tally], params: TuningParams) -> BlendParams:
    """The blend with each slot's best weights, or as it was where too few shoppers were judged."""
    tried = trials(blend, params)
    enough = {slot: tally for slot, tally in tallies.items() if tally.shoppers >= params.min_shoppers}
    return replace(blend, slots=blend.slots | {slot: tried[slot][tally.best()] for slot, tally in enough.items()})
