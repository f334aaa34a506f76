"""What each product is expected to sell in the week under way at the price in force, by the demand champion."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa

from contracts.tables import PRICE_WEEKS, PRODUCTS
from models.demand_features import LAGS, Panel
from pipelines import train_demand
from pipelines.lake import Lake
from pipelines.tracking import Tracking
from pipelines.train_prices import read_weeks

TYPES: dict[str, pa.DataType] = {"product_id": pa.string(), "expected_units": pa.float64()}
FORM = pa.schema(TYPES)


def expected(tracking: Tracking, lake: Lake, day: date) -> tuple[pa.Table, str | None]:
    """One row per product of the weekly grid that has a price, and the champion's name; no rows without a champion.

    The week under way is the one after the last complete one. Promotions are taken to go on as in that: a plan of
    those to come would say more (docs/adr/0022).
    """
    until = day + timedelta(days=1)
    found = train_demand.champion(tracking)
    if found is None:
        return FORM.empty_table(), None
    model, name = found
    panel = Panel.of(read_weeks(lake.arrow(PRICE_WEEKS, days=(day, until))))
    weeks = panel.units.shape[1]
    if weeks < LAGS:
        return FORM.empty_table(), name
    shown = lake.arrow(PRODUCTS, days=(day, until)).select(["product_id", "list_price_minor", "price_minor"])
    prices = {key: (listed or price, price) for key, listed, price in zip(*shown.to_pydict().values(), strict=True)}
    now = np.array([prices.get(key) or (None, None) for key in panel.product.tolist()], dtype=np.float64)
    now[~(now > 0)] = np.nan  # what is free has no price that demand could answer
    forecast = model.forecast(panel.extended(now[:, 0], now[:, 1]), weeks, 1).mean
    known = np.isfinite(now[:, 1])
    columns = {"product_id": pa.array(panel.product[known]), "expected_units": pa.array(forecast[known])}
    return pa.table(columns, schema=FORM), name
