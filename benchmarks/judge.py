"""What every answer of `benchmarks chaos` must be, and how soon all is well after a fault.

No status of 500 or more, no silence but from connections that were cut off; a body in the form of serving.schemas, of
one published generation, without repeats or what is sold out; and no fall-back that does not call itself degraded.
"""

import json
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ValidationError

from benchmarks.chaos_shop import PRODUCTS, K, made_up, sold_out, tag_of
from benchmarks.open_loop import Answer, Question
from benchmarks.synthetic import Synthetic
from serving import schemas

RECOVERY_S = 5.0
CUT_OFF_S = 0.2  # so long after a worker was killed a connection to it may still be found broken
STRAYS = 0.01  # share of calm answers that may be degraded: a busy machine is late now and then, and says so
SCHEMAS: dict[str, type[BaseModel]] = {
    "recommendations": schemas.Recommendations,
    "page": schemas.Page,
    "similar": schemas.Items,
    "bought_together": schemas.Items,
    "popular": schemas.Items,
    "price": schemas.PriceAnswer,
    "prices": schemas.Prices,
}
FALL_BACKS = {
    "recommendations": {"popular", "none"},
    "page": {"popular", "none"},
    "similar": {"popular", "none"},
    "bought_together": {"none"},
    "popular": {"none"},
    "price": {"none"},
    "prices": {"none"},
}
"""Sources that, in this shop, only an answer without Redis names."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """A fault as it happened, and the calm after it; moments by time.monotonic(). Fields as of faults.Fault."""

    fault: str
    starting: float
    began: float
    ending: float
    ended: float
    until: float
    degrades: Callable[[Question], bool | None] = lambda _: False
    breaks: bool = False

    def cuts_off(self, answer: Answer) -> bool:
        """Did the connection break because its worker was killed? Who waited in vain until the end was not cut off."""
        meanwhile = answer.sent <= self.began + CUT_OFF_S and answer.answered >= self.starting
        return self.breaks and meanwhile and not answer.timed_out

    def holds(self, answer: Answer) -> bool:
        """Did the fault hold from question to answer?"""
        return self.began <= answer.sent and answer.answered <= self.ending


@dataclass
class Verdict:
    """What was found; `examples` tells the first of each kind."""

    errors_5xx: int = 0
    unanswered: int = 0
    cut_off: int = 0
    malformed: int = 0
    undeclared: int = 0
    degraded: int = 0
    needless: int = 0
    """Degraded though no fault touched them."""
    recovery_s: dict[str, float] = field(default_factory=dict)
    """By fault, the longest: from its end until answers are whole and stay so; inf: not before the next fault."""
    broken: list[str] = field(default_factory=list)
    """Promises that were not kept."""
    examples: dict[str, str] = field(default_factory=dict)


def judge(answers: Sequence[Answer], stretches: Sequence[Stretch], published: Collection[str]) -> Verdict:
    """Look at all answers to all that happened; `published`: generations that were ever made live."""
    verdict, counts = Verdict(), Counter[str]()
    calm = 0
    for answer in answers:
        found, degraded = _look(answer, stretches, published)
        must = [stretch.degrades(answer.question) for stretch in stretches if stretch.holds(answer)]
        if degraded is False and True in must:
            found.append(("undeclared", "answered without Redis, not degraded"))
        if _untouched(answer, stretches, must):
            calm += 1
            verdict.needless += bool(degraded)
        counts.update({name for name, _ in found} | ({"degraded"} if degraded else set()))
        for name, why in found:
            verdict.examples.setdefault(name, f"{answer.question.path}: {why}")
    for name, count in counts.items():
        setattr(verdict, name, count)
    for stretch in stretches:
        took = recovery_s(answers, stretch)
        verdict.recovery_s[stretch.fault] = max(took, verdict.recovery_s.get(stretch.fault, 0.0))
    verdict.broken = list(_broken(verdict, verdict.needless / max(calm, 1)))
    return verdict


def recovery_s(answers: Sequence[Answer], stretch: Stretch) -> float:
    """Seconds from the fault's end to the first question whose answer is whole, as are all after it but for STRAYS."""
    after = sorted((a for a in answers if stretch.ended <= a.sent < stretch.until), key=lambda a: a.sent)
    whole = [answer.status == 200 and _body(answer).get("degraded") is False for answer in after]
    bad, first = 0, None
    for place in reversed(range(len(after))):
        bad += not whole[place]
        if whole[place] and bad <= STRAYS * (len(after) - place):
            first = place
    return inf if first is None else round(max(0.0, after[first].sent - stretch.ended), 3)


def _untouched(answer: Answer, stretches: Sequence[Stretch], must: Collection[bool | None]) -> bool:
    """Has no fault, nor the end of one, anything to do with it?"""
    if must:
        return True not in must and None not in must
    return not any(s.starting <= answer.answered and answer.sent <= s.ended + RECOVERY_S for s in stretches)


def _broken(verdict: Verdict, needless: float) -> Iterator[str]:
    for name in ("errors_5xx", "unanswered", "malformed", "undeclared"):
        if count := getattr(verdict, name):
            yield f"{name}: {count}, such as {verdict.examples[name]}"
    for fault, took in verdict.recovery_s.items():
        if took > RECOVERY_S:
            yield f"{fault}: whole again {f'after {took} s' if took < inf else 'never'}, not within {RECOVERY_S} s"
    if needless > STRAYS:
        yield f"{needless:.1%} of the answers that no fault touched were degraded, not {STRAYS:.0%}"


def _look(
    answer: Answer, stretches: Sequence[Stretch], published: Collection[str]
) -> tuple[list[tuple[str, str]], bool | None]:
    """What is wrong with the answer by itself, and whether it says that it is degraded; None when it says nothing."""
    if answer.status == 0:
        cut = any(stretch.cuts_off(answer) for stretch in stretches)
        return [("cut_off" if cut else "unanswered", answer.error)], None
    if answer.status >= 500:
        return [("errors_5xx", f"{answer.status} {answer.body[:200]!r}")], None
    if answer.status != 200:
        return [("malformed", f"{answer.status} {answer.body[:200]!r}")], None
    try:
        SCHEMAS[answer.question.kind].model_validate_json(answer.body)
    except ValidationError as error:
        return [("malformed", str(error))], None
    body = _body(answer)
    found = [("malformed", why) for why in _faults(answer.question.kind, body, published)]
    if not body["degraded"] and (fallen := _sources(body) & FALL_BACKS[answer.question.kind]):
        found.append(("undeclared", f"not degraded, but from {', '.join(fallen)}"))
    return found, body["degraded"]


def _faults(kind: str, body: dict[str, Any], published: Collection[str]) -> Iterator[str]:
    """What no schema can know."""
    if body["generation"] not in published:
        yield f"of generation {body['generation']}, which was never live"
        return
    shop = made_up(tag_of(body["generation"]))
    shelves = [shelf["items"] for shelf in body.get("shelves", [body] if "items" in body else [])]
    shown = [item["product_id"] for shelf in shelves for item in shelf]
    if len(set(shown)) < len(shown):
        yield "a product twice"
    if any(len(shelf) > K for shelf in shelves):
        yield f"more than {K} products"
    if foreign := [product for product in shown if not _may_be_shown(shop.tag, product)]:
        yield f"{foreign[0]} must not be shown, or is none of {shop.generation}'s"
    for price in body.get("prices", [body] if kind == "price" else []):
        listed = price["list_price_minor"]
        if listed is not None and listed // 100_000 != shop.tag:
            yield f"a price that is none of {shop.generation}'s"


@lru_cache(maxsize=100_000)
def _may_be_shown(tag: int, product_id: str) -> bool:
    """Is it a product of the generation's lists that is not sold out?"""
    of, number = divmod(UUID(product_id).int, 1 << 64)
    return of == tag and number < PRODUCTS and _shop(tag).belongs(number) and number not in sold_out(_shop(tag))


@lru_cache
def _shop(tag: int) -> Synthetic:
    return made_up(tag)


def _sources(body: dict[str, Any]) -> set[str]:
    return {part["source"] for part in body.get("shelves", body.get("prices", [body]))}


def _body(answer: Answer) -> dict[str, Any]:
    try:
        body = json.loads(answer.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
