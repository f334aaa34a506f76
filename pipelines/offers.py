"""Personalised offers of a campaign: decided and written down, issued into the shop as coupons, published to serving.

Each part may be done again. What was decided of a campaign on a day is read from the lake when it is there, so a second
run issues what the first one decided; a coupon's key makes it the same coupon; Redis gets the same values.
"""

import json
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from contracts import conf, keys, offers
from contracts.offers import Offer
from contracts.tables import OFFERS
from models.offer_campaign import LONGEST_DAYS, Campaign, Decision, decide, effect, learned
from models.offers import OfferParams
from pipelines import lease, offer_inputs
from pipelines.generation import Client, PublishError, connect
from pipelines.lake import Lake
from pipelines.schemas import arrow_schema
from pipelines.settings import Settings
from pipelines.source import ExportRefused, ShopUnreachable, tls
from pipelines.spark import session

STEP = "offers"
BATCH = 500  # coupons that the shop takes at once
TIMEOUT_S = 60.0
ATTEMPTS = 3

Row = dict[str, Any]


class CampaignError(ValueError):
    """A campaign that cannot be run; nothing was done."""


def run(day: date, path: Path, settings: Settings | None = None) -> dict[str, object]:
    """Run the file's campaign with what was known at the end of `day`; it begins the morning after."""
    settings = settings or Settings()
    if path.suffix != ".toml":
        raise CampaignError(f"{path} is no .toml file")
    campaign = conf.load(path.stem, Campaign, folder=path.parent)
    lake = Lake(settings.lake_uri)
    report = _decided_once(lake, day, campaign, settings)
    decided = _decided(lake, day, campaign.name)
    shown = [row for row in decided if row["shown"]]
    return report | {
        "campaign": campaign.name,
        "eligible": len({row["user_id"] for row in decided}),
        "held_out": len({row["user_id"] for row in decided if row["held_out"]}),
        "explored": len({row["user_id"] for row in decided if row["explored"]}),
        "shown": len(shown),
        "expected_cost_minor": round(sum(row["cost_minor"] for row in shown)),
        "expected_value_minor": round(sum(row["value_minor"] for row in shown)),
        **publish(day, settings),
    }


def publish(day: date, settings: Settings | None = None) -> dict[str, object]:
    """Issue what is shown of every campaign that is not over at the end of `day`, and tell serving of it.

    An earlier campaign that is run again takes nothing away from those decided since: the newest day counts.
    """
    settings = settings or Settings()
    lake = Lake(settings.lake_uri)
    day = max([day, *(lake.days(OFFERS) if lake.version(OFFERS) is not None else ())])
    as_of = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    shown = _running(lake, as_of)
    codes: dict[str, str] = {}
    gone: set[str] = set()
    for campaign in sorted({row["campaign"] for row in shown}):
        rows = [row for row in shown if row["campaign"] == campaign]
        for at in range(0, len(rows), BATCH):
            issued = _issue(rows[at : at + BATCH], settings)
            codes |= issued["codes"]
            gone |= set(issued["gone"])
    open_rows = [row for row in shown if _key(row) not in gone]
    users = _send(connect(settings.redis_url), day, shown, open_rows, codes)
    return {"issued": len(codes), "used_or_reserved": len(gone), "shoppers_published": users}


# --- deciding -------------------------------------------------------------------------------------------------------


def _decided_once(lake: Lake, day: date, campaign: Campaign, settings: Settings) -> dict[str, object]:
    """Decide what is not decided, one campaign at a time: two at once would not see each other's offers, and the later
    would write the day without the earlier's."""
    client = connect(settings.redis_url)
    try:
        with lease.held(client, offers.LEASE) as token:
            _refuse_another_day(lake, day, campaign)
            if _decided(lake, day, campaign.name):
                return {"decided_before": True}
            found, rows = _decide(lake, day, campaign, settings)
            lease.require(client, token, "decided too slowly", offers.LEASE)
            _write(lake, day, campaign, rows)
            return {"decided_before": False, **found}
    except PublishError as error:
        raise CampaignError(f"campaign {campaign.name} was not decided, run it again: {error}") from error


def _decide(lake: Lake, day: date, campaign: Campaign, settings: Settings) -> tuple[dict[str, object], list[Row]]:
    """What the report says of the decision, and the rows of OFFERS."""
    params = conf.load("offers", OfferParams)
    known = offer_inputs.read(session(settings), lake, day, campaign, params.assignment)
    response = learned(known.world, known.campaign, known.teaches, params)
    uplift = effect(known.world, known.outcomes, params)
    decision = decide(known.world, known.campaign, campaign, response, uplift, known.candidates, params)
    report: dict[str, object] = {
        "valued_by": "assumption" if uplift is None else "uplift",
        "ratios": {name: round(ratio, 3) for name, ratio in decision.chosen.ratios.items()},
        "alarm": decision.chosen.alarm,
    }
    return report, list(_rows(day, campaign, decision, known.candidates.names))


def _write(lake: Lake, day: date, campaign: Campaign, rows: Sequence[Row]) -> None:
    """The campaign's rows beside those of the day's others."""
    others = lake.arrow(OFFERS, days=(day, day + timedelta(days=1))) if lake.version(OFFERS) is not None else None
    table = pa.Table.from_pylist(list(rows), arrow_schema(OFFERS))
    whole = table if others is None else pa.concat_tables([others.select(table.schema.names), table])
    lake.overwrite_arrow(OFFERS, whole, [day], step=STEP, source={"campaign": campaign.name})


def _rows(day: date, campaign: Campaign, decision: Decision, names: Sequence[str]) -> Iterator[Row]:
    begins = datetime.combine(day + timedelta(days=1), datetime.min.time(), UTC)
    terms = {
        "day": day,
        "campaign": campaign.name,
        "kind": campaign.kind,
        "margin_bps": campaign.margin_bps,
        "currency": campaign.currency,
        "valid_from": begins,
        "valid_until": begins + timedelta(days=campaign.days),
        "funding": campaign.funding,
        "disclosure": campaign.disclosure,
        "policy": conf.digest("offers"),
    }
    options, assigned = decision.options, decision.assigned
    for pair, user in enumerate(options.user.tolist()):
        offer = campaign.offers[int(decision.offer[pair])]
        yield terms | {
            "user_id": names[user],
            "offer": offer.name,
            "response": float(decision.response[pair]),
            "value_minor": float(options.value_minor[pair]),
            "cost_minor": float(options.cost_minor[pair]),
            "wanted": bool(decision.chosen.pairs[pair]),
            "propensity": float(np.clip(assigned.propensity[pair], 0, 1)),
            "held_out": bool(assigned.drawn.held_out[user]),
            "explored": bool(assigned.drawn.explored[user]),
            "shown": bool(assigned.shown[pair]),
            "product_ids": list(offer.products),
            "amount_minor": offer.amount_minor,
            "minimum_minor": offer.minimum_minor,
        }


def _decided(lake: Lake, day: date, campaign: str) -> list[Row]:
    if lake.version(OFFERS) is None:
        return []
    rows: list[Row] = lake.arrow(OFFERS, days=(day, day + timedelta(days=1))).to_pylist()
    return [row for row in rows if row["campaign"] == campaign]


def _refuse_another_day(lake: Lake, day: date, campaign: Campaign) -> None:
    """A campaign is decided once: on another day it would give other offers under the same name. And none before one
    that was decided later: that one's offers were counted without it."""
    if lake.version(OFFERS) is None:
        return
    decided = lake.arrow(OFFERS, columns=["day", "campaign"]).group_by(["day", "campaign"]).aggregate([]).to_pylist()
    days = {row["day"] for row in decided if row["campaign"] == campaign.name}
    if days - {day}:
        raise CampaignError(f"campaign {campaign.name} was decided on {min(days)}; give another one another name")
    latest = max((row["day"] for row in decided), default=day)
    if latest > day and not days:
        raise CampaignError(f"a campaign was decided on {latest} already: decide this one on that day or later")


def _running(lake: Lake, as_of: datetime) -> list[Row]:
    """Shown rows of campaigns that have begun by then and are not over."""
    if lake.version(OFFERS) is None:
        return []
    first = as_of.date() - timedelta(days=LONGEST_DAYS)
    rows: list[Row] = lake.arrow(OFFERS, days=(first, as_of.date())).to_pylist()
    return [row for row in rows if row["shown"] and row["valid_until"] > as_of]


# --- issuing --------------------------------------------------------------------------------------------------------


def _key(row: Row) -> str:
    """The shop's name for the coupon: one of a campaign, shopper and offer."""
    said = json.dumps([row["campaign"], row["user_id"], row["offer"]])
    return str(uuid.uuid5(uuid.NAMESPACE_URL, said))


def _issue(rows: Sequence[Row], settings: Settings) -> dict[str, Any]:
    """Put these coupons into the shop; its answer. ExportRefused, ShopUnreachable."""
    same = ("user_id", "campaign", "currency", "amount_minor", "minimum_minor", "product_ids", "funding", "disclosure")
    coupons = [
        {"key": _key(row), **{name: row[name] for name in same}}
        | {name: row[name].isoformat() for name in ("valid_from", "valid_until")}
        for row in rows
    ]
    url, token = settings.core_url.rstrip("/"), settings.service_token.get_secret_value()
    # Another name each time: a coupon's own key makes it one, and whether it is used changes.
    headers = {"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())}
    for _ in range(ATTEMPTS):
        try:
            answer = httpx.post(
                f"{url}/coupons", json={"coupons": coupons}, headers=headers, timeout=TIMEOUT_S, verify=tls()
            )
        except httpx.TransportError as error:
            failure = f"{type(error).__name__}: {error}"
            continue
        if answer.status_code < 400:
            issued: dict[str, Any] = answer.json()
            return issued
        if answer.status_code < 500:
            raise ExportRefused(f"the shop issued nothing: {answer.status_code} {answer.text[:300]}")
        failure = f"{answer.status_code} {answer.text[:200]}"
    raise ShopUnreachable(f"{url}/coupons failed {ATTEMPTS} times, at last with {failure}")


# --- publishing -----------------------------------------------------------------------------------------------------


def _send(client: Client, day: date, shown: Sequence[Row], rows: Sequence[Row], codes: dict[str, str]) -> int:
    """Every shopper's offers into Redis, and away with those of shoppers who have none left; how many have some."""
    by_user: dict[str, list[Row]] = {row["user_id"]: [] for row in shown}
    for row in rows:
        by_user[row["user_id"]].append(row)
    pipeline = client.pipeline(transaction=False)
    for user_id, own in by_user.items():
        user = keys.uuid_bytes(user_id)
        if user is None:
            continue
        if own:
            ends = max(int(row["valid_until"].timestamp()) for row in own)
            value = offers.encode([_offer(row, codes[_key(row)]) for row in own])
            pipeline.set(offers.offers_key(user), value, exat=ends)
        else:
            pipeline.delete(offers.offers_key(user))
    pipeline.set(offers.READY, day.isoformat())
    pipeline.execute()
    return sum(1 for own in by_user.values() if own)


def _offer(row: Row, code: str) -> Offer:
    return Offer(
        campaign=row["campaign"],
        code=code,
        product_ids=row["product_ids"],
        amount_minor=row["amount_minor"],
        minimum_minor=row["minimum_minor"],
        currency=row["currency"],
        valid_from=row["valid_from"].isoformat(),
        valid_until=row["valid_until"].isoformat(),
        funding=row["funding"],
        disclosure=row["disclosure"],
    )
