"""What a shopper is offered: coupons of their own, from Redis, as long as they last. They only lower what is paid."""

from datetime import datetime

from contracts import keys, offers
from contracts.offers import Offer
from serving.reads import GenerationGone, Reads, Unavailable


async def own(reads: Reads, user_id: str, now: datetime) -> tuple[list[Offer], bool]:
    """The shopper's offers that hold at that moment, and whether Redis was not there to be asked."""
    user = keys.uuid_bytes(user_id)
    if user is None:
        return [], not reads.available
    try:
        [value] = await reads.get(offers.READY, [offers.offers_key(user)])
    except GenerationGone:  # none were ever published
        return [], False
    except Unavailable:
        return [], True
    found = offers.decode(value) if value is not None else []
    return [one for one in found if _holds(one, now)], False


def _holds(offer: Offer, now: datetime) -> bool:
    return datetime.fromisoformat(offer["valid_from"]) <= now < datetime.fromisoformat(offer["valid_until"])
