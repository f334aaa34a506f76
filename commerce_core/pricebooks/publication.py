"""A book becomes the shop's prices, or they become what they were: each time one transaction, and a new version.

Rows are locked first and everything is judged again after that: what has changed since the book was made costs a line,
never the truth. A line that is left out says why, and the others are published.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.errors import ShopError
from commerce_core.outbox.service import tell
from commerce_core.pricebooks import guards, service, states, switch
from commerce_core.pricebooks.limits import BPS, PriceLimits
from commerce_core.pricebooks.models import CANARY, PUBLISHED, ROLLED_BACK, PriceBook, PriceVersion
from commerce_core.pricebooks.prior import low_sql

TOPIC = "prices"
GOOD_FOR = timedelta(days=7)
LARGEST = (1 << 63) - 1

# Of a book: what the guards left and no earlier version published, and of a canary the clusters that a hash picks.
_OF_BOOK = f"""
    select l.product_id, l.currency, l.from_minor, l.list_price_minor, l.price_minor, l.family
    from price_book_lines l
    where l.book_id = :book_id
      and not exists (select from price_book_refusals r where (r.book_id, r.product_id) = (l.book_id, l.product_id))
      and not exists (select from price_version_lines o join price_versions v using (version)
                      where v.book_id = l.book_id and o.product_id = l.product_id and o.skipped is null)
      and (hashtextextended(coalesce(l.cluster, l.family, l.product_id::text), l.book_id) & {LARGEST}) % {BPS}
          < :share_bps"""

# Of a rollback: what versions after `to` made of a product is taken back, as far as nobody else changed it in between.
# Its family is that of the newest book that moved it.
_OF_ROLLBACK = """
    select * from (
        select product_id, (array_agg(currency order by version desc))[1] as currency, null::bigint as list_price_minor,
               (array_agg(family order by version desc) filter (where book_id is not null))[1] as family,
               (array_agg(price_minor order by version desc))[1] as from_minor,
               (array_agg(from_minor order by version desc) filter (where begins))[1] as price_minor
        from (
            select l.version, l.product_id, l.currency, l.from_minor, l.price_minor, v.book_id, b.family,
                   (l.from_minor, l.currency)
                       is distinct from (lag(l.price_minor) over by_time, lag(l.currency) over by_time) as begins
            from price_version_lines l join price_versions v using (version)
            left join price_book_lines b on (b.book_id, b.product_id) = (v.book_id, l.product_id)
            where l.version > :to_version and l.skipped is null
            window by_time as (partition by l.product_id order by l.version)
        ) applied
        group by product_id
    ) undone
    where price_minor <> from_minor"""

# Checkouts go on: their keys refer to products and do not wait for this lock.
_LOCK = """select p.product_id from products p join ({wanted}) w using (product_id)
           order by p.product_id for no key update of p"""
_JUDGE = """insert into price_version_lines (version, product_id, currency, from_minor, price_minor, skipped)
            select cast(:version as bigint), product_id, currency, from_minor, price_minor, refusal
            from ({judged}) judged"""
_CHANGE = """
with changed as (
    update products p set price_minor = l.price_minor from price_version_lines l
    where l.version = :version and l.skipped is null and l.product_id = p.product_id
    returning p.product_id, coalesce(p.list_price_minor, p.price_minor) as list_price_minor, p.price_minor, p.currency
)
insert into price_history (product_id, valid_from, list_price_minor, price_minor, currency, source, version)
select product_id, cast(:at as timestamptz), list_price_minor, price_minor, currency, 'policy', cast(:version as bigint)
from changed
"""


def _keep_sql(limits: PriceLimits) -> str:
    """SQL that keeps what every active product costs now, and why, as the version's entries."""
    at = "cast(:at as timestamptz)"
    low = low_sql("p.product_id", "p.currency", at, progressive=limits.PRICE_PROGRESSIVE)
    return f"""
    insert into price_version_entries (version, product_id, currency, list_price_minor, price_minor,
                                       prior_30d_low_minor, reasons, binding, valid_from)
    select cast(:version as bigint), p.product_id, p.currency,
           coalesce(nullif(p.list_price_minor, 0), p.price_minor), p.price_minor,
           case when p.price_minor < p.list_price_minor then {low} end,
           case when v.kind = '{ROLLED_BACK}' then array['{ROLLED_BACK}'] else coalesce(b.reasons, array[]::text[]) end,
           b.binding, coalesce(h.valid_from, p.created_at)
    from products p
    left join lateral (select valid_from, version from price_history
                       where product_id = p.product_id and valid_from <= {at}
                       order by valid_from desc limit 1) h on true
    left join price_versions v on v.version = h.version
    left join price_book_lines b on b.book_id = v.book_id and b.product_id = p.product_id
    where p.status = 'active' and p.price_minor > 0"""


async def canary(session: AsyncSession, book_id: int, limits: PriceLimits, *, actor: str) -> None:
    """Publish the clusters that a hash picks, to everybody; doing it again changes nothing."""
    await states.alone(session)
    state = await states.locked(session, book_id)
    if await _versions_of(session, book_id):
        return
    if state != states.APPROVED:
        raise states.refused(state, states.CANARY)
    version = await _publish(session, book_id, CANARY, limits, share_bps=limits.PRICE_CANARY_BPS, actor=actor)
    await states.move(session, book_id, states.CANARY, step="canary", actor=actor, details={"version": version})


async def publish(session: AsyncSession, book_id: int, limits: PriceLimits, *, actor: str) -> None:
    """Publish the book, or after a canary the rest of it; doing it again changes nothing."""
    await states.alone(session)
    state = await states.locked(session, book_id)
    if PUBLISHED in await _versions_of(session, book_id):
        return
    if state not in (states.APPROVED, states.CANARY):
        raise states.refused(state, states.LIVE)
    version = await _publish(session, book_id, PUBLISHED, limits, share_bps=BPS, actor=actor)
    await states.move(session, book_id, states.LIVE, step="publish", actor=actor, details={"version": version})


async def roll_back(session: AsyncSession, to_version: int, reason: str, limits: PriceLimits, *, actor: str) -> None:
    """Take back what was published after a version; ShopError 404 `version_not_found`, 409 `version_was_rolled_back`.

    The guards hold here too, all but the pace: a price that may not be any more is left as it is, and reported. The
    switch does not: this is the way out.
    """
    await states.alone(session)
    live = await _live(session)
    if to_version > live:
        raise ShopError(404, "version_not_found", f"no version {to_version}; version {live} is live")
    if to_version == live or await _restores(session, live) == to_version:
        return
    undone = select(PriceVersion.version).where(
        PriceVersion.kind == ROLLED_BACK, PriceVersion.restores < to_version, PriceVersion.version > to_version
    )
    if (await session.execute(undone.limit(1))).one_or_none() is not None:
        message = f"version {to_version} was rolled back itself: propose its prices anew"
        raise ShopError(409, "version_was_rolled_back", message)
    given: dict[str, Any] = {"kind": ROLLED_BACK, "restores": to_version, "actor": actor}
    version = await _make(session, _OF_ROLLBACK, {"to_version": to_version}, limits, paced=False, given=given)
    for book_id in await _books_after(session, to_version):
        details = {"version": version, "reason": reason}
        await states.move(session, book_id, states.ROLLED_BACK, step="roll_back", actor=actor, details=details)
    again = await _whole_book_of(session, to_version)
    if again is not None and await states.locked(session, again) == states.SUPERSEDED:
        await states.move(session, again, states.LIVE, step="restore", actor=actor, details={"version": version})


async def _publish(
    session: AsyncSession, book_id: int, kind: str, limits: PriceLimits, *, share_bps: int, actor: str
) -> int:
    await switch.check(session)
    age = select(func.clock_timestamp() - PriceBook.proposed_at).where(PriceBook.book_id == book_id)
    if (await session.execute(age)).scalar_one() > GOOD_FOR:
        raise ShopError(409, "book_too_old", f"proposed more than {GOOD_FOR.days} days ago: propose anew")
    await service.check_approved(session, book_id, limits)
    given = {"kind": kind, "book_id": book_id, "actor": actor}
    about = {"book_id": book_id, "share_bps": share_bps}
    version = await _make(session, _OF_BOOK, about, limits, paced=True, given=given)
    others = select(PriceBook.book_id).where(
        PriceBook.state.in_([states.CANARY, states.LIVE]), PriceBook.book_id != book_id
    )
    for other in (await session.scalars(others.order_by(PriceBook.book_id))).all():
        details = {"version": version}
        await states.move(session, other, states.SUPERSEDED, step="supersede", actor=actor, details=details)
    return version


async def _make(
    session: AsyncSession,
    wanted: str,
    about: dict[str, Any],
    limits: PriceLimits,
    *,
    paced: bool,
    given: dict[str, Any],
) -> int:
    """Lock, judge, change, keep and tell; the number of the version."""
    await session.execute(text(_LOCK.format(wanted=wanted)), about)
    at: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    version = await _live(session) + 1
    await session.execute(insert(PriceVersion).values(version=version, published_at=at, **given))
    judged = _JUDGE.format(judged=guards.judged_sql(wanted))
    await session.execute(text(judged), about | guards.values(limits, paced=paced) | {"version": version})
    await session.execute(text(_CHANGE), {"version": version, "at": at})
    await session.execute(text(_keep_sql(limits)), {"version": version, "at": at})
    said = {"event": PUBLISHED, "version": version, "kind": given["kind"], "book_id": given.get("book_id")}
    await tell(session, TOPIC, TOPIC, {**said, "at": at.isoformat()})
    return version


async def _live(session: AsyncSession) -> int:
    """The number of the version that holds; 0 when nothing was published."""
    return (await session.execute(select(func.coalesce(func.max(PriceVersion.version), 0)))).scalar_one()


async def _restores(session: AsyncSession, version: int) -> int | None:
    return (
        await session.execute(select(PriceVersion.restores).where(PriceVersion.version == version))
    ).scalar_one_or_none()


async def _versions_of(session: AsyncSession, book_id: int) -> set[str]:
    """The kinds of publications that the book had."""
    return set((await session.scalars(select(PriceVersion.kind).where(PriceVersion.book_id == book_id))).all())


async def _books_after(session: AsyncSession, version: int) -> list[int]:
    """Books of which something was published after a version, and not rolled back yet."""
    of_book = select(PriceVersion.book_id).where(PriceVersion.version > version, PriceVersion.book_id.is_not(None))
    query = select(PriceBook.book_id).where(PriceBook.book_id.in_(of_book), PriceBook.state != states.ROLLED_BACK)
    return list((await session.scalars(query.order_by(PriceBook.book_id))).all())


async def _whole_book_of(session: AsyncSession, version: int) -> int | None:
    """The book that a version published as a whole."""
    query = select(PriceVersion.book_id).where(PriceVersion.version == version, PriceVersion.kind == PUBLISHED)
    return (await session.execute(query)).scalar_one_or_none()
