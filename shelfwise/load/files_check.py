"""What may stand in a shop's own files: every row is held to it, and each fault is named with its row."""

from datetime import datetime

import duckdb
import pyarrow

from contracts.raw import CLICK_KINDS
from shelfwise.load.currencies import DECIMALS
from shelfwise.load.files_read import CLICKS, ORDERS, PRODUCTS, Layout

ID_LIMIT = 255  # characters
PATH_LIMIT = 500  # characters of a category path: PostgreSQL indexes it
TOTAL_LIMIT = 10**15  # minor units of a line

MACROS = """
create macro instant(value) as case
    when regexp_full_match(trim(value),
        '\\d{4}-\\d{2}-\\d{2}([T ]\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,9})?)?(Z|[+-]\\d{2}(:?\\d{2})?)?)?')
    then try_cast(trim(value) as timestamptz)::timestamp end;
create macro whole(value) as
    case when regexp_full_match(trim(value), '\\d{1,9}(\\.0+)?') then split_part(trim(value), '.', 1)::bigint end;
create macro amount(value) as
    case when regexp_full_match(trim(value), '\\d{1,12}(\\.\\d{1,9})?') then trim(value)::decimal(21, 9) end;
create macro id_fault(name, value) as case
    when value is null then name || ' is missing'
    when contains(value, chr(0)) then name || ' holds a NUL character'
    when length(value) > {id_limit} then name || ' is longer than {id_limit} characters' end;
create macro wrong_width(fields, width) as fields || ' cells where the header has ' || width;
create macro text_fault(name, value) as case when contains(value, chr(0)) then name || ' holds a NUL character' end;
create macro instant_fault(name, value, at_most) as case
    when value is null then name || ' is missing'
    when instant(value) is null then name || ' "' || left(value, 40) || '" is not a date and time (ISO 8601)'
    when instant(value) < timestamp '1970-01-01' then name || ' ' || value || ' is before 1970'
    when instant(value) > at_most then name || ' ' || value || ' is in the future' end;
create macro amount_fault(name, value, code, decimals) as case
    when value is null then null
    when starts_with(trim(value), '-') then name || ' ' || left(value, 40) || ' is negative'
    when amount(value) is null then name || ' "' || left(value, 40) || '" is not a number'
    when amount(value) * (10 ** decimals)::decimal(5, 0) <> trunc(amount(value) * (10 ** decimals)::decimal(5, 0))
    then name || ' ' || value || ' has more than the ' || decimals || ' decimals of ' || code end;
create macro currency_fault(value, decimals) as
    case when value is not null and decimals is null then 'currency "' || left(value, 40) || '" is unknown' end;
"""

# Money in minor units, exactly. Without a currency an order is in `$currency`.
PARSED_ORDERS = """
create table parsed.orders as
select o.* exclude (quantity, ordered_at, unit_price, currency), whole(quantity) as quantity,
       instant(ordered_at) as ordered_at, c.code as currency,
       (amount(unit_price) * (10 ** c.decimals)::decimal(5, 0))::bigint as unit_minor,
       list_filter(case when fields is not null then [wrong_width(fields, width)] else [
           id_fault('order_id', order_id), id_fault('user_id', user_id), id_fault('product_id', product_id),
           case when quantity is null then 'quantity is missing'
                when coalesce(whole(quantity), 0) = 0
                then 'quantity "' || left(quantity, 40) || '" is not a positive whole number' end,
           instant_fault('ordered_at', ordered_at, $now), currency_fault(currency, c.decimals),
           amount_fault('unit_price', unit_price, c.code, c.decimals),
           case when unit_minor::hugeint * whole(o.quantity) > {total_limit} then 'the line''s total is too large' end
       ] end, lambda fault: fault is not null) as faults
from input.orders o left join currencies c on c.code = coalesce(upper(trim(o.currency)), $currency)
"""

PARSED_PRODUCTS = """
create table parsed.products as
select p.* exclude (price, category, currency), c.code as currency,
       nullif((amount(price) * (10 ** c.decimals)::decimal(5, 0))::bigint, 0) as price_minor,
       array_to_string(list_filter(list_transform(string_split(p.category, '/'), lambda part: trim(part)),
                                   lambda part: part <> ''), '/') as category,
       list_filter(case when fields is not null then [wrong_width(fields, width)] else [
           id_fault('product_id', product_id), case when name is null then 'name is missing' end,
           text_fault('name', name), text_fault('category', p.category), text_fault('brand', brand),
           text_fault('description', description), currency_fault(p.currency, c.decimals),
           case when length(p.category) > {path_limit}
                then 'category is longer than {path_limit} characters' end,
           case when price is not null and p.currency is null and $currency is null
                then 'price without a currency, and the orders are in several' end,
           amount_fault('price', price, c.code, c.decimals)
       ] end, lambda fault: fault is not null) as faults
from input.products p left join currencies c on c.code = coalesce(upper(trim(p.currency)), $currency)
"""

PARSED_CLICKS = """
create table parsed.clicks as
select k.* exclude (ts), instant(ts) as ts,
       list_filter(case when fields is not null then [wrong_width(fields, width)] else [
           id_fault('product_id', product_id), instant_fault('ts', ts, $now),
           case when user_id is null and session_id is null then 'neither user_id nor session_id' end,
           case when user_id is not null then id_fault('user_id', user_id) end,
           case when session_id is not null then id_fault('session_id', session_id) end,
           case when kind is null then 'kind is missing' when kind not in $kinds
                then 'kind "' || left(kind, 40) || '" is none of ' || array_to_string($kinds, ', ') end
       ] end, lambda fault: fault is not null) as faults
from input.clicks k
"""

# Faults that only show between rows. The first row is right, those that contradict it are not.
TORN_ORDERS = """
insert into problems
select 'orders', o.row, 'order ' || o.order_id || ' has {what} ' || o.{what} || ' here and ' || f.first || ' in row '
       || f.first_row
from good.orders o join (
    select order_id, arg_min({what}, row) as first, min(row) as first_row
    from good.orders group by order_id having min({what}) <> max({what})
) f using (order_id) where o.{what} <> f.first
"""

REPEATED_PRODUCTS = """
insert into problems
select 'products', row, 'product_id ' || product_id || ' is already in row ' || first_row
from (select row, product_id, min(row) over (partition by product_id) as first_row from good.products)
where row > first_row
"""


def prepare(duck: duckdb.DuckDBPyConnection) -> None:
    """The rules' vocabulary and the empty table `problems` (file, row, reason)."""
    # Templates hold braces of their own in patterns, so the limits are put in by name.
    for statement in MACROS.replace("{id_limit}", str(ID_LIMIT)).split(";\n"):
        if statement.strip():
            duck.execute(statement)
    currencies = pyarrow.table({"code": list(DECIMALS), "decimals": list(DECIMALS.values())})
    duck.register("currency_rows", currencies)
    duck.execute("create table currencies as select code, decimals::int as decimals from currency_rows")
    duck.unregister("currency_rows")
    duck.execute("create table problems (file varchar, row bigint, reason varchar)")


def check_orders(duck: duckdb.DuckDBPyConnection, *, now: datetime, currency: str) -> None:
    """`good.orders`: the rows that can be loaded, parsed."""
    parsed = PARSED_ORDERS.replace("{total_limit}", str(TOTAL_LIMIT))
    duck.execute(parsed, {"now": now, "currency": currency})
    _split(duck, ORDERS)
    for what in ("user_id", "currency"):
        duck.execute(TORN_ORDERS.replace("{what}", what))
    _drop(duck, ORDERS)


def check_products(duck: duckdb.DuckDBPyConnection, *, currency: str) -> None:
    """`good.products`; a price without a currency is in that of the orders, when they have but one."""
    codes = [code for (code,) in duck.execute("select distinct currency from good.orders limit 2").fetchall()]
    parsed = PARSED_PRODUCTS.replace("{path_limit}", str(PATH_LIMIT))
    duck.execute(parsed, {"currency": {0: currency, 1: codes[0] if codes else None}.get(len(codes))})
    _split(duck, PRODUCTS)
    duck.execute(REPEATED_PRODUCTS)
    _drop(duck, PRODUCTS)


def check_clicks(duck: duckdb.DuckDBPyConnection, *, now: datetime) -> None:
    """`good.clicks`."""
    duck.execute(PARSED_CLICKS, {"now": now, "kinds": list(CLICK_KINDS)})
    _split(duck, CLICKS)


def _split(duck: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    name = layout.name
    duck.execute(f"insert into problems select '{name}', row, array_to_string(faults, '; ')"
                 f" from parsed.{name} where len(faults) > 0")  # fmt: skip
    duck.execute(f"create table good.{name} as select * exclude (fields, width, faults) from parsed.{name}"
                 " where len(faults) = 0")  # fmt: skip
    duck.execute(f"drop table parsed.{name}")


def _drop(duck: duckdb.DuckDBPyConnection, layout: Layout) -> None:
    name = layout.name
    duck.execute(f"delete from good.{name} where row in (select row from problems where file = '{name}')")
