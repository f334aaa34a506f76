"""What no price book gets past: one statement that judges many moves against what holds at that moment.

It is asked twice: when a book is guarded, and under lock in the transaction that publishes. The first reason counts.
"""

from typing import Any

from commerce_core.pricebooks.limits import BPS, PriceLimits

CUTS_DAYS = 28

# In the order in which they are asked. A rise is let through where only a cut would do harm: out of a price below its
# cost, and towards it, leads the way up.
_REFUSAL = f"""
    case
        when p.status <> 'active' then 'retired'
        when p.price_minor is null or p.price_minor <= 0 then 'no_price'
        when p.currency <> w.currency then 'currency_changed'
        when p.price_minor <> w.from_minor then 'price_changed'
        when w.list_price_minor is not null and coalesce(p.list_price_minor, p.price_minor) <> w.list_price_minor
            then 'list_price_changed'
        when w.price_minor <= 0 then 'not_positive'
        when w.price_minor > w.from_minor and w.price_minor > coalesce(p.list_price_minor, p.price_minor)
            then 'above_list_price'
        when w.price_minor < w.from_minor
            and w.price_minor * {BPS} < coalesce(p.list_price_minor, p.price_minor) * :floor_bps
            then 'below_floor'
        when w.price_minor < w.from_minor and w.price_minor * ({BPS} - :margin_bps) < cost.minor * {BPS}
            then 'below_cost'
        when :minimums and w.price_minor < w.from_minor and w.price_minor < least_advertised.minor
            then 'below_advertised_minimum'
        when :paced and abs(w.price_minor - w.from_minor) * {BPS} > w.from_minor * :step_bps then 'step_too_large'
        when :paced and past.today > 0 then 'changed_today'
        when :paced and w.price_minor < w.from_minor and past.cuts >= :cuts then 'too_many_cuts'
    end"""


def _newest(table: str, column: str) -> str:
    """SQL of the row that holds now, in the currency of the move."""
    return f"""(select max({column}) as minor from (
        select {column} from {table} n
        where n.product_id = w.product_id and n.currency = w.currency and n.valid_from <= clock_timestamp()
        order by n.valid_from desc limit 1) newest)"""


# A rollback has happened for a reason and is not held up by the pace; but what it undid was a change of its day.
_PAST = f"""(
    select count(*) filter (where v.published_at >= date_trunc('day', clock_timestamp(), 'UTC')) as today,
           count(*) filter (where l.price_minor < l.from_minor) as cuts
    from price_version_lines l join price_versions v using (version)
    where l.product_id = w.product_id and l.skipped is null and v.kind <> 'rolled_back'
      and v.published_at > clock_timestamp() - interval '{CUTS_DAYS} days')"""


def judged_sql(wanted: str) -> str:
    """SQL of `wanted` (product_id, currency, from_minor, list_price_minor, price_minor, family) with `refusal`: why a
    move is not made, null when nothing speaks against it. A family moves whole or not at all."""
    return f"""
    select *, coalesce(own_refusal, case when family is not null and bool_or(own_refusal is not null)
                                              over (partition by family) then 'family_incomplete' end) as refusal
    from (
        select w.*, {_REFUSAL} as own_refusal
        from ({wanted}) w
        join products p using (product_id)
        cross join lateral {_newest("product_costs", "cost_minor")} cost
        cross join lateral {_newest("advertised_minimums", "minimum_minor")} least_advertised
        cross join lateral {_PAST} past
    ) judged"""


def values(limits: PriceLimits, *, paced: bool) -> dict[str, Any]:
    """What the statement is to be executed with; `paced` is false for a rollback."""
    return {
        "floor_bps": limits.PRICE_FLOOR_BPS,
        "margin_bps": limits.PRICE_MARGIN_BPS,
        "minimums": limits.PRICE_MINIMUMS,
        "step_bps": limits.PRICE_STEP_BPS,
        "cuts": limits.PRICE_CUTS,
        "paced": paced,
    }
