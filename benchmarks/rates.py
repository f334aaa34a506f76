"""How soon serving answers questions that come at a fixed rate, and the visits that some of them are answered after."""

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from uuid import UUID

import orjson

from benchmarks.open_loop import Answer, OpenLoop, Question
from benchmarks.synthetic import RESIDUES, Synthetic, user_id
from contracts import sessions
from pipelines.generation import Client, send

WARM_UP_S = 1.0
CLICKS = 5  # of a visit

Figures = dict[str, object]


def visits(client: Client, shop: Synthetic, shoppers: range) -> None:
    """Let each of these shoppers have looked at some products just now, as serving.sessions writes it down."""
    draw, now_ms = random.Random(shop.seed), time.time_ns() // 1_000_000

    def click(number: int) -> bytes:
        product = draw.randrange(shop.products // RESIDUES) * RESIDUES + shop.tag % RESIDUES
        event = {"event_id": str(UUID(int=number + 1)), "product_id": str(shop.shown(product)), "kind": "click"}
        return sessions.record(event, now_ms - draw.randrange(60_000))

    def visited(number: int) -> tuple[bytes, bytes]:
        clicks = [click(number * CLICKS + turn) for turn in range(CLICKS)]
        return sessions.user_key(user_id(number).bytes), sessions.merged(*clicks)

    send(client, map(visited, shoppers))


def at_rate(port: int, paths: Sequence[str], rate: float, asking: Callable[[], object]) -> Figures:
    """Percentiles in milliseconds of what was asked while `asking` ran, from when each question was due.

    `rungs`: how many answers came from each; `late_ms`: how late one question in a hundred left, which is the client's.
    """
    answers = answers_at_rate(port, [Question("any", path) for path in paths], rate, asking)
    return {"rate": rate, **latencies(answers), "rungs": dict(Counter(map(_rung, answers)))}


def answers_at_rate(
    port: int, questions: Sequence[Question], rate: float, asking: Callable[[], object]
) -> list[Answer]:
    """The answers to what was asked while `asking` ran, after a second of the same to warm up."""
    with OpenLoop(port, questions, rate).asking() as asked:
        time.sleep(WARM_UP_S)
        began = time.monotonic()
        asking()
        ended = time.monotonic()
    answers = [answer for answer in asked.answers if began <= answer.due < ended]
    if not answers:
        raise ValueError("nothing was asked")
    return answers


def latencies(answers: Sequence[Answer]) -> Figures:
    """Percentiles in milliseconds, errors, and how late the client was."""
    taken = sorted(answer.latency_s for answer in answers)
    late = sorted(answer.sent - answer.due for answer in answers)
    return {
        "answers": len(answers),
        **{f"p{share}_ms": _share(taken, share) for share in (50, 95, 99)},
        "errors": sum(answer.status != 200 for answer in answers),
        "late_ms": _share(late, 99),
    }


def _rung(answer: Answer) -> str:
    if answer.status != 200:
        return f"status {answer.status}"
    body = orjson.loads(answer.body)
    return "degraded" if body["degraded"] else str(body.get("rung", body["source"]))


def _share(sorted_s: Sequence[float], share: int) -> float:
    return round(1_000 * sorted_s[len(sorted_s) * share // 100], 2)


def for_a_while(seconds: float) -> Callable[[], object]:
    """Ask so long."""
    return lambda: threading.Event().wait(seconds)
