"""Taking clicks in, each once."""

from datetime import date
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.events.schemas import Click, Receipt

_UNKNOWN_PRODUCTS = text("""
    select wanted.product_id from unnest(cast(:product_ids as uuid[])) wanted (product_id)
    where not exists (select from products p where p.product_id = wanted.product_id)
""")

# Into the inbox in the order of the ids: two batches that share events wait for each other instead of deadlocking.
# Into the outbox in the order sent, one message per event: that is what consumers know an event by, and no bus is
# too narrow for one.
_STORE = text("""
    with sent as (
        select * from unnest(
            cast(:event_ids as uuid[]), cast(:user_ids as uuid[]), cast(:session_ids as text[]),
            cast(:product_ids as uuid[]), cast(:kinds as text[]), cast(:tss as timestamptz[]),
            cast(:request_ids as text[])
        ) with ordinality rows (event_id, user_id, session_id, product_id, kind, ts, request_id, place)
    ), fresh as (
        insert into event_inbox (event_id, day)
        select event_id, (now() at time zone 'UTC')::date from sent order by event_id
        on conflict do nothing
        returning event_id, day
    ), stored as (
        insert into clicks (day, event_id, user_id, session_id, product_id, kind, ts, received_at, request_id)
        select fresh.day, sent.event_id, user_id, session_id, product_id, kind, ts, now(), request_id
        from sent join fresh using (event_id)
    )
    insert into outbox (topic, aggregate, payload)
    select 'clicks', coalesce(sent.user_id::text, sent.session_id), to_jsonb(sent) - 'place'
    from sent join fresh using (event_id) order by place
    returning outbox_id
""")


async def take_in(session: AsyncSession, events: list[Click]) -> Receipt:
    """Store the events not seen before; refuses the batch when a product is unknown. Shoppers are taken as told."""
    products = [event.product_id for event in events]
    unknown = set((await session.scalars(_UNKNOWN_PRODUCTS, {"product_ids": list(set(products))})).all())
    if unknown:
        details = [
            {"index": index, "where": f"events[{index}].product_id", "reason": f"no product {product_id}"}
            for index, product_id in enumerate(products)
            if product_id in unknown
        ]
        message = f"{len(details)} event(s) name unknown products, nothing was stored; leave them out and send again"
        raise ShopError(422, "unknown_product", message, details)
    first = dict[UUID, Click]()
    for event in events:
        first.setdefault(event.event_id, event)
    sent = list(first.values())
    columns = ("event_id", "user_id", "session_id", "product_id", "kind", "ts", "request_id")
    stored = await session.execute(_STORE, {f"{column}s": [getattr(e, column) for e in sent] for column in columns})
    accepted = len(stored.all())
    return Receipt(accepted=accepted, duplicates=len(events) - accepted)


async def ensure_partitions(session: AsyncSession, first: date, until: date) -> None:
    """Make a partition of the clicks for each day from `first` until the day before `until`."""
    await session.execute(text("select ensure_click_partitions(:first, :until)"), {"first": first, "until": until})
