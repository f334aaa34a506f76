"""How many people must approve a book: by how far its prices move, how many do in a day, and what share they sell."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.pricebooks.limits import BPS, PriceLimits

# What other books changed within a day counts too: several small books are a large one.
_REACH = f"""
with kept as (
    select l.product_id, abs(l.price_minor - l.from_minor) * {BPS} / l.from_minor as step_bps
    from price_book_lines l left join price_book_refusals r using (book_id, product_id)
    where l.book_id = :book_id and r.reason is null
), touched as (
    select product_id from kept
    union
    select l.product_id from price_version_lines l join price_versions v using (version)
    where l.skipped is null and v.kind <> 'rolled_back' and v.published_at > now() - interval '1 day'
), sold as (
    select o.currency, sum(l.paid_total_minor) as whole,
           coalesce(sum(l.paid_total_minor) filter (where l.product_id in (select product_id from touched)), 0) as part
    from orders o join order_lines l using (order_id)
    where o.placed_at > now() - interval '28 days' and o.status <> 'cancelled'
    group by o.currency
), shop as (select count(*) as products from products where status = 'active' and price_minor > 0)
select (select count(*) from touched) as lines,
       (select coalesce(max(step_bps), 0) from kept) as step_bps,
       coalesce((select max(part * {BPS} / whole) from sold where whole > 0),
                (select count(*) from touched) * {BPS} / greatest((select products from shop), 1)) as revenue_bps
"""


async def reach(session: AsyncSession, book_id: int) -> dict[str, int]:
    """A day's changed products with this book's, its largest move, and their share of 28 days' revenue (of the products
    in a shop that sold nothing)."""
    row = (await session.execute(text(_REACH), {"book_id": book_id})).mappings().one()
    return {name: int(row[name]) for name in ("lines", "step_bps", "revenue_bps")}


def needed(found: dict[str, int], simulated: dict[str, Any], limits: PriceLimits) -> int:
    """0, 1 or 2 people. Two, too, when the book may lose money at the worse end of what was simulated."""

    def within(who: str) -> bool:
        tops = {name: getattr(limits, f"PRICE_{who}_{name.upper()}") for name in found}
        return all(found[name] <= tops[name] for name in found)

    if simulated["margin_minor"]["low"] < 0 or not within("ONE"):
        return 2
    return 0 if within("AUTO") else 1
