"""`python -m benchmarks chaos`: does serving keep its promises while what it stands on fails?

Two workers of serving under the local stack's supervisor, over an embedded Redis with a made-up generation, asked at a
fixed rate that does not yield. Each fault holds for a while, then RECOVERY_S and a little are left to be well again.
Ends with 1 when a promise is broken; `broken` says which.
"""

import argparse
import itertools
import json
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import asdict
from math import inf
from pathlib import Path

from benchmarks import faults
from benchmarks.chaos_shop import Store, Workers, questions
from benchmarks.faults import Fault
from benchmarks.judge import RECOVERY_S, Stretch, Verdict, judge
from benchmarks.open_loop import Answer, OpenLoop
from benchmarks.slow_link import SlowLink
from shelfwise.local.ports import HOST
from shelfwise.settings import StackSettings

CALM_S = 2.0  # before the first fault
REST_S = RECOVERY_S + 0.5
WORKERS = 2
LATE_MS = 50.0


def run(*, seconds: float, rate: float, hold: float, patience: float | None = None) -> dict[str, object]:
    """What was promised, and what was found; every fault comes at least once.

    `patience`: seconds that serving waits for Redis, when not as it is shipped.
    """
    with tempfile.TemporaryDirectory(prefix="shelfwise-chaos-") as folder, ExitStack() as stack:
        root = Path(folder)
        redis_port, link_port, serving_port, core_port, mlflow_port = _free_ports(5)
        store = stack.enter_context(Store(root / "redis", redis_port).up())
        link = stack.enter_context(SlowLink(link_port, behind=redis_port).up())
        store.publish()
        settings = StackSettings(
            data_dir=root,
            redis_url=f"redis://{HOST}:{link_port}/0",
            redis_port=redis_port,
            serving_port=serving_port,
            core_port=core_port,  # nobody is there, but it is written down
            mlflow_port=mlflow_port,
            serving_workers=WORKERS,
        )
        env = {} if patience is None else {"REDIS_TIMEOUT_S": str(patience)}
        workers = stack.enter_context(Workers(settings, env).up())
        with OpenLoop(serving_port, questions(), rate).asking() as load:
            time.sleep(CALM_S)
            stretches = _besiege(_all(store, link, workers), seconds - CALM_S, hold)
        verdict = judge(load.answers, stretches, store.published)
        return _report(load.answers, verdict) | {"rate": rate, "seconds": seconds, "faults": len(stretches)}


def _all(store: Store, link: SlowLink, workers: Workers) -> list[Fault]:
    """The faults in the order in which they come."""
    return [
        faults.RedisKilled(store),
        faults.RedisEmptied(store),
        faults.RedisSlow(link),
        faults.PublishAbandoned(store),
        faults.PointerAstray(store),
        faults.ListsCorrupted(store),
        faults.WorkerKilled(workers),
    ]


def _besiege(all_faults: Sequence[Fault], seconds: float, hold_s: float) -> list[Stretch]:
    """One fault after another until the time is over; what happened when."""
    over = time.monotonic() + seconds
    stretches: list[Stretch] = []
    for fault in itertools.cycle(all_faults):
        if len(stretches) >= len(all_faults) and time.monotonic() + hold_s + REST_S > over:
            return stretches
        starting = time.monotonic()
        fault.begin()
        began = time.monotonic()
        time.sleep(hold_s)
        ending = time.monotonic()
        fault.end()
        ended = time.monotonic()
        time.sleep(REST_S)
        until = time.monotonic()
        stretches.append(Stretch(fault.name, starting, began, ending, ended, until, fault.degrades, fault.breaks))
        print(f"{len(stretches)}. {fault.name}: for {ended - starting:.1f} s", file=sys.stderr, flush=True)
    raise ValueError("no faults")


def _report(answers: Sequence[Answer], verdict: Verdict) -> dict[str, object]:
    """`late_ms`: how late one question in a hundred left; more than LATE_MS is a machine too busy to judge on."""
    latencies = sorted(1_000 * answer.latency_s for answer in answers)
    at = {f"p{share}_ms": round(latencies[len(latencies) * share // 100], 1) for share in (50, 99)}
    late = sorted(1_000 * (answer.sent - answer.due) for answer in answers)
    found = asdict(verdict)
    found.pop("examples")
    found["recovery_s"] = {name: None if took == inf else took for name, took in verdict.recovery_s.items()}
    at["max_ms"], at["late_ms"] = round(latencies[-1], 1), round(late[len(late) * 99 // 100], 1)
    return {"ok": not verdict.broken, "requests": len(answers), **found, **at}


def _free_ports(many: int) -> list[int]:
    """Ports that nobody listens on just now, each another."""
    probes = [socket.socket() for _ in range(many)]
    try:
        for probe in probes:
            probe.bind((HOST, 0))
        return [int(probe.getsockname()[1]) for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def main(options: list[str] | None = None) -> int:
    """One JSON object on the last line; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks chaos", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=float, default=100.0, help="requests per second")
    parser.add_argument("--hold", type=float, default=4.0, help="seconds that each fault lasts")
    parser.add_argument("--patience", type=float, help="seconds that serving waits for Redis; as shipped without")
    found = run(**vars(parser.parse_args(options)))
    print(json.dumps(found))
    return 0 if found["ok"] else 1


if __name__ == "__main__":
    raise SystemExit(main())
