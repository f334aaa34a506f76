"""The lowest price of the 30 days before a reduction began, and what may be said of a reduction: nothing but by it.

Directive 98/6/EC art. 6a; ECJ C-330/23 (the percentage too is of that price). Per product, which is a variant. The
history is `price_history`, where prices stand from when they held; a price that is to hold later does not count yet,
and one of zero is none.

A reduction runs while the price is below the regular one. It began with the price in force: each other price is a
reduction of its own, held against the 30 days before it. Where the member state lets a reduction be deepened step by
step (art. 6a(5), `progressive`), a lower price continues the one that runs; a higher one never does.
"""

from typing import NamedTuple

BPS = 10_000
DAYS = 30


def low_sql(product_id: str, currency: str, as_of: str, *, progressive: bool) -> str:
    """SQL of one value: the prior low of the reduction that runs at `as_of`; null when none runs or nothing was before.

    The arguments are SQL expressions of the outer query.
    """
    other = "<" if progressive else "<>"
    held = f"""
        select h.valid_from, h.price_minor, h.price_minor < h.list_price_minor as reduced,
               lag(h.price_minor) over by_time as price_before,
               lag(h.price_minor < h.list_price_minor) over by_time as reduced_before,
               lead(h.valid_from, 1, {as_of}) over by_time as valid_to
        from price_history h
        where h.product_id = {product_id} and h.currency = {currency} and h.price_minor > 0
          and h.valid_from <= {as_of}
        window by_time as (order by h.valid_from)"""
    return f"""(
        with held as ({held}),
        began as (select max(valid_from) as at from held
                  where reduced and (reduced_before is not true or price_before {other} price_minor))
        select min(h.price_minor) from held h, began
        where (select reduced from held order by valid_from desc limit 1)
          and h.valid_from < began.at and h.valid_to > began.at - interval '{DAYS} days')"""


class Reduction(NamedTuple):
    """What may be shown beside a price: the price struck out, and the percentage off it, in bps rounded down."""

    struck_minor: int
    discount_bps: int


def reduction(price_minor: int, prior_30d_low_minor: int | None) -> Reduction | None:
    """What may be announced; None when nothing may."""
    if prior_30d_low_minor is None or not 0 < price_minor < prior_30d_low_minor:
        return None
    return Reduction(prior_30d_low_minor, (prior_30d_low_minor - price_minor) * BPS // prior_30d_low_minor)
