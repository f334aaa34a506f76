"""A small shop's files, and how the tests look into the database that they were loaded into."""

import asyncio

import asyncpg

from commerce_core.db import driver_url

ORDERS = """\
order_id,user_id,product_id,quantity,ordered_at,unit_price,currency
A-1,anna,007,2,2026-03-01T10:00:00Z,1.50,USD
A-1,anna,7,1,2026-03-01T10:00:00Z,,USD
A-2,björn,007,1,2026-03-02T23:30:00-02:00,1.40,USD
A-2,björn,007,3,2026-03-02T23:30:00-02:00,1.40,USD
A-3,anna,nowhere,1,2026-03-05,,
"""
PRODUCTS = """\
product_id,name,category,brand,price,description
007,"Bond, dark
chocolate",Sweets/ Chocolate ,Q,1.75,says ""hello""
7,Seven,Sweets,,0.99,
unsold,Ice 🧊,Frozen/Ice,,,
"""
CLICKS = """\
user_id,session_id,product_id,kind,ts
anna,,007,view,2026-03-01T09:00:00Z
anna,,007,view,2026-03-01T09:00:00Z
,s-1,only-clicked,add_to_cart,2026-03-02T09:00:00Z
"""
TABLES = (
    "categories", "products", "product_versions", "price_history", "users", "orders", "order_lines",
    "order_status_history", "clicks", "loads",
)  # fmt: skip


def query(url, *questions):
    async def answers():
        connection = await asyncpg.connect(driver_url(url))
        try:
            return [[tuple(row) for row in await connection.fetch(question)] for question in questions]
        finally:
            await connection.close()

    return asyncio.run(answers())


def ask(url, question):
    return query(url, question)[0]


def everything(url):
    return [sorted(map(str, rows)) for rows in query(url, *(f"select * from {table}" for table in TABLES))]
