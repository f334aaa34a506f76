"""Weeks of prices and sales, put into the lake as the night leaves them."""

from dataclasses import asdict
from datetime import date

import pyarrow as pa

from contracts.tables import PRICE_WEEKS
from pipelines.lake import Lake
from pipelines.schemas import arrow_schema

DAY = date(2017, 12, 31)  # a Sunday: its week is complete


def put(settings, weeks, day=DAY):
    names = {name: getattr(weeks, name)[weeks.product] for name in ("product_id", "category", "department")}
    columns = {name: pa.array(values) for name, values in (asdict(weeks) | names).items()}
    columns["day"] = pa.array([day] * len(weeks.units), pa.date32())
    schema = arrow_schema(PRICE_WEEKS)
    table = pa.table([columns[name] for name in schema.names], schema=schema)
    return Lake(settings.lake_uri).overwrite_arrow(PRICE_WEEKS, table, [day], step="test", source={})
