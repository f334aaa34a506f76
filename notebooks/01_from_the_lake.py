# %% [markdown]
# # From the lake to a question answered
#
# A percent-format notebook: Jupyter and editors open it cell by cell, `python notebooks/01_from_the_lake.py` runs it
# whole.
# It needs a lake with features (`make demo`, or `shelfwise backfill` and `shelfwise run day`).

# %%
import os
from datetime import timedelta
from pathlib import Path

import duckdb

from contracts.tables import INTERACTIONS, PRODUCTS, USER_LISTS, USER_PRODUCT
from pipelines.lake import Lake
from shelfwise.local import environment

environment.load(environment.stack_env(Path(os.environ.get("DATA_DIR", ".data"))))
lake = Lake(os.environ["LAKE_URI"])
day = max(lake.days(USER_LISTS))
only = (day, day + timedelta(days=1))
print(f"the lake at {lake.uri}, as known at the end of {day}")

# %% [markdown]
# How much of what people buy is bought again? In groceries, most of it: that is why counting beats factorising.

# %%
interactions = lake.arrow(INTERACTIONS, columns=["user_id", "product_id", "day"])
duckdb.sql("""
    with visits as (
        select day, row_number() over (partition by user_id, product_id order by day) as visit from interactions
    )
    select date_trunc('month', day) as month, count(*) as purchases, round(avg((visit > 1)::int), 3) as share_repeats
    from visits group by month order by month
""").show()

# %% [markdown]
# Is what we recommend to discover spread over the catalogue, or the same few products for everybody?

# %%
lists = lake.arrow(USER_LISTS, days=only)
products = lake.arrow(PRODUCTS, days=only, columns=["product_id", "name", "category"])
duckdb.sql("""
    with shown as (select unnest(product_ids[1:10]) as product_id from lists where slot = 'discover')
    select name, category, count(*) as shoppers from shown join products using (product_id)
    group by all order by shoppers desc, name limit 10
""").show()

# %% [markdown]
# Does the shopper with the most orders see what they buy most?

# %%
own = lake.arrow(USER_PRODUCT, days=only)
duckdb.sql("""
    with busiest as (select user_id from own group by user_id order by sum(orders) desc, user_id limit 1),
    shelf as (
        select unnest(product_ids[1:10]) as product_id, generate_subscripts(product_ids[1:10], 1) as place
        from lists join busiest using (user_id) where slot = 'for_you'
    )
    select place, name, orders, last_day from shelf
    join products using (product_id) left join (select * from own join busiest using (user_id)) using (product_id)
    order by place
""").show()
