"""Rows of the lake's tables with sensible values where a test does not care."""

from datetime import UTC, date, datetime, timedelta

from pipelines.schemas import spark_schema

FIRST = date(2017, 1, 1)


def day(number):
    """Day 1 is 1 January 2017."""
    return FIRST + timedelta(days=number - 1)


def instant(number, hour=12):
    return datetime.combine(day(number), datetime.min.time(), UTC) + timedelta(hours=hour)


def frame(spark, table, rows):
    """The rows as a frame of the table; columns not given are null or a plain value."""
    plain = {
        "string": "",
        "int32": 1,
        "int64": 1,
        "float64": 0.0,
        "bool": False,
        "date": FIRST,
        "timestamp": instant(1),
        "strings": [],
        "ints": [],
        "floats": [],
    }
    full = [tuple(row.get(c.name, None if c.nullable else plain[c.type]) for c in table.columns) for row in rows]
    return spark.createDataFrame(full, spark_schema(table))


def bought(number, user, product, *, order=None, channel="web", quantity=1, line=1):
    return {
        "day": day(number), "order_id": order or f"{user}-{number}-{channel}", "line_no": line, "user_id": user,
        "product_id": product, "channel": channel, "quantity": quantity, "paid_total_minor": 100 * quantity,
        "currency": "USD", "ts": instant(number),
    }  # fmt: skip


def version(number, product, *, recommendable=True, status="active", name="thing", hour=0):
    return {
        "day": day(number), "product_id": product, "name": name, "category": "a/b", "status": status,
        "recommendable": recommendable, "ts": instant(number, hour),
    }  # fmt: skip


def interaction(number, user, product, *, orders=1, channel="web"):
    return {"day": day(number), "user_id": user, "product_id": product, "channel": channel, "orders": orders}


def rows(frame, *columns):
    return sorted(tuple(row[name] for name in columns) for row in frame.collect())
