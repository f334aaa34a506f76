"""Golden rows of the price policy, on the proposal's side: from the mart like a back-test, and over Redis' bytes.

What serving answers is what the shop published: test_price_book.py.
"""

from datetime import date

import pyarrow as pa
import pytest
from redis.asyncio import Redis

from contracts import conf, keys
from contracts.tables import PRICE_SIGNALS
from models.pricing import Guardrails, Signals, quote
from pipelines.schemas import arrow_schema

GUARDS = Guardrails(
    max_step_bps=1000,
    ceiling_bps=10000,
    floor_bps=6000,
    min_margin_bps=500,
    assumed_margin_bps=3000,
    interval_z=1.28,
    weak_elasticity=-0.5,
    long_run_elasticity=-2.0,
    implausible_elasticity=-10.0,
    min_gain_bps=20,
    endings_0=("0", "8"),
    endings_2=("0", "5", "9"),
    endings_3=("00", "50", "90"),
)
STEP, PAYS, ASSUMED = "max_step", "pays_at_both_ends", "cost_assumed"
LONG_RUN, BEST = "long_run_response_assumed", "best_price_reached"
WEAK, SMALL, NO_LEGAL = "response_too_weak_to_raise", "gain_too_small", "no_legal_price"
RISE = (PAYS, LONG_RUN, ASSUMED)
HIGH, LOW = "above_ceiling", "below_floor"

# name: currency, regular, price, cost, elasticity, error, identified by, units -> action, price, binding, reasons
GOLDEN = {
    "a rise by one step": ("USD", 500, 400, None, -1.5, 0.2, "events", 20.0, "move", 440, STEP, RISE),
    "a cut by one step": ("USD", 500, 500, 200, -4.0, 0.5, "events", 20.0, "move", 450, STEP, (PAYS,)),
    "free: no quote": ("USD", 500, 0, None, -1.5, 0.2, "events", 20.0, "none", None, None, ("no_price",)),
    "free to buy in": ("USD", 500, 500, 0, -3.0, 0.2, "events", 20.0, "move", 450, STEP, (PAYS,)),
    "no demand": ("USD", 500, 400, None, -1.5, 0.2, "events", 0.0, "hold", 400, None, (SMALL, ASSUMED)),
    "no effect": ("USD", 500, 400, None, 0.0, 0.2, "events", 20.0, "hold", 400, None, ("effect_unusable",)),
    "no error": ("USD", 500, 400, 221, -1.5, 0.0, "events", 20.0, "move", 420, None, (PAYS, LONG_RUN)),
    "prior": ("USD", 500, 400, None, -1.5, 0.2, "prior", 20.0, "hold", 400, None, ("effect_prior_only",)),
    "at the ceiling": ("USD", 500, 500, None, -1.5, 0.2, "events", 20.0, "hold", 500, "ceiling", (BEST, ASSUMED)),
    "one below the ceiling": ("USD", 500, 499, None, -1.5, 0.2, "events", 20.0, "hold", 499, None, (SMALL, ASSUMED)),
    "one above the ceiling": ("USD", 500, 501, None, -1.5, 0.2, "prior", 20.0, "move", 500, "ceiling", (HIGH,)),
    "at the floor": ("USD", 500, 300, 20, -4.0, 0.0, "events", 20.0, "hold", 300, "floor", (BEST,)),
    "at the margin floor": ("USD", 500, 400, 380, -1.5, 0.0, "prior", 20.0, "hold", 400, None, ("effect_prior_only",)),
    "one below the margin floor": ("USD", 500, 400, 381, -1.5, 0.0, "prior", 20.0, "move", 405, "floor", (LOW,)),
    "weak by a hair": ("USD", 500, 400, None, -0.62, 0.1, "events", 20.0, "hold", 400, None, (WEAK, ASSUMED)),
    "strong by a hair": ("USD", 500, 400, None, -0.64, 0.1, "events", 20.0, "move", 440, STEP, RISE),
    # peak 1300 + 2000 / 2.5 = 2100 is legal itself
    "a peak that is legal": ("USD", 3000, 2000, 1300, -2.5, 0.0, "events", 20.0, "move", 2100, None, (PAYS,)),
    # peak 14000 + 20000 / 2.5 = 22000 is the last step as well
    "a peak on the step": ("USD", 30000, 20000, 14000, -2.5, 0.0, "events", 20.0, "move", 22000, None, (PAYS,)),
    # peak 1297 + 2000 / 2.5 = 2097, midway between 2095 and 2099: the margin falls off slower above it
    "midway": ("USD", 3000, 2000, 1297, -2.5, 0.0, "events", 20.0, "move", 2099, None, (PAYS,)),
    "yen": ("JPY", 500, 399, None, -1.5, 0.2, "events", 20.0, "move", 438, STEP, RISE),
    "dinars": ("KWD", 5000, 3990, None, -1.5, 0.2, "events", 20.0, "move", 4350, STEP, RISE),
    "nothing legal near": ("KWD", 149, 101, None, -1.5, 0.2, "events", 20.0, "hold", 101, STEP, (NO_LEGAL, ASSUMED)),
    "the smallest price": ("USD", 1, 1, None, -1.5, 0.2, "events", 20.0, "hold", 1, "ceiling", (BEST, ASSUMED)),
}  # fmt: skip
IDS = {name: f"00000000-0000-4000-8000-{number:012d}" for number, name in enumerate(GOLDEN)}
STRANGER = "00000000-0000-4000-8000-999999999999"
POLICY = {"policy": "golden", "as_of": "2017-12-29"}
SIGNALS = ("currency", "list_price_minor", "price_minor", "cost_minor", "elasticity", "elasticity_se", "identified_by")


def mart():
    rows = [
        {"day": date(2017, 12, 28), "product_id": IDS[name]}
        | dict(zip((*SIGNALS, "weekly_units"), golden[:8], strict=True))
        for name, golden in GOLDEN.items()
    ]
    return pa.Table.from_pylist(rows, arrow_schema(PRICE_SIGNALS))


@pytest.fixture(params=["mart", "bytes"])
async def signals(request, redis_url):
    """The golden rows as the policy is given them: rows of the mart, or what a generation holds of them in Redis."""
    rows = mart().drop_columns("day").to_pylist()
    if request.param == "mart":
        return {row["product_id"]: Signals(**row) for row in rows}
    async with Redis.from_url(redis_url) as client:
        for row in rows:
            signal = keys.PriceSignal(*(row[name] for name in keys.PriceSignal._fields))
            await client.set(keys.signal_key("g", keys.uuid_bytes(row["product_id"])), keys.encode_signal(signal))
        found = {id: await client.get(keys.signal_key("g", keys.uuid_bytes(id))) for id in IDS.values()}
    return {id: Signals(id, *keys.decode_signal(value)) for id, value in found.items()}


async def test_both_paths_decide_as_written_down(signals):
    for name in GOLDEN:
        decision = quote(signals[IDS[name]], GUARDS)
        expected = (name, *GOLDEN[name][8:])
        assert (name, decision.action, decision.price_minor, decision.binding, decision.reasons) == expected
        assert decision.currency == GOLDEN[name][0]


def test_a_product_without_signals_has_no_price():
    nothing = quote(Signals(STRANGER, "USD", None, None, None, None, None, "prior", None), GUARDS)
    assert (nothing.action, nothing.price_minor) == ("none", None)


def test_the_guardrails_of_the_golden_rows_are_those_of_the_shop():
    assert conf.load("pricing", Guardrails) == GUARDS
