"""GET /export: whole days, the same rows at every asking, cut into shards without loss."""

from datetime import UTC, date, datetime, timedelta

import pyarrow as pa
import pytest

from commerce_core.export.tables import EXPORTS

pytestmark = pytest.mark.usefixtures("generated")

KEYS = {
    "orders": ("order_id", "line_no"),
    "order_status": ("order_id", "ts", "status"),
    "clicks": ("event_id",),
    "catalog": ("product_id", "ts"),
    "prices": ("product_id", "ts"),
    "promotions": ("product_id", "kind", "place", "starts_on"),
    "costs": ("product_id", "currency", "valid_from"),
    "advertised_minimums": ("product_id", "currency", "valid_from"),
    "campaign_users": ("user_id", "campaign_id"),
    "campaign_coupons": ("coupon_id", "product_id"),
    "coupon_redemptions": ("coupon_id", "user_id"),
    "shopper_groups": ("user_id", "attribute"),
}


@pytest.fixture
def export(service, read_arrow):
    """An export's table, rows sorted by key."""

    async def ask(table, **query):
        answer = (await service.get(f"/export/{table}", params=query)).raise_for_status()
        assert answer.headers["content-type"] == "application/vnd.apache.arrow.stream"
        return read_arrow(answer.content).sort_by([(key, "ascending") for key in KEYS[table]])

    return ask


@pytest.mark.parametrize("table", EXPORTS)
async def test_a_window_is_its_days_and_its_shards_are_the_whole(export, service, table):
    window = {"day": "2017-01-01", "until": "2017-01-04"}
    whole = await export(table, **window)
    days = [await export(table, day=f"2017-01-0{number}") for number in (1, 2, 3)]
    assert pa.concat_tables(days).sort_by([(key, "ascending") for key in KEYS[table]]) == whole
    assert whole.num_rows > 0
    for number, day in enumerate(days, 1):
        assert set(day["day"].to_pylist()) <= {date(2017, 1, number)}
    shards = [await export(table, **window, shard=f"{share}/5") for share in range(5)]
    assert pa.concat_tables(shards).sort_by([(key, "ascending") for key in KEYS[table]]) == whole
    assert all(shard.num_rows for shard in shards)
    keys = [set(shard[KEYS[table][0]].to_pylist()) for shard in shards]
    assert sum(map(len, keys)) == len(set().union(*keys))  # a key's rows are together
    counted = (await service.get(f"/export/{table}/count", params=window)).json()["days"]
    assert counted == {f"2017-01-0{n}": day.num_rows for n, day in enumerate(days, 1) if day.num_rows}


@pytest.mark.parametrize("table", EXPORTS)
async def test_asking_again_gives_the_same_rows(export, table):
    window = {"day": "2017-01-01", "until": "2017-01-03", "shard": "0/2"}
    assert await export(table, **window) == await export(table, **window)


async def test_the_day_ends_at_midnight_utc(export):
    first, second = await export("prices", day="2017-01-02"), await export("prices", day="2017-01-03")
    assert set(first["ts"].to_pylist()) == {datetime(2017, 1, 2, 23, 59, 59, 999999, tzinfo=UTC)}
    assert set(second["ts"].to_pylist()) == {datetime(2017, 1, 3, tzinfo=UTC)}


async def test_values_arrive_as_stored(export, db):
    line = await db.fetchrow(
        "select * from orders o join order_lines l using (order_id) where placed_at < '2017-01-02' order by o.order_id"
    )
    (row,) = [
        row
        for row in (await export("orders", day="2017-01-01")).to_pylist()
        if row["order_id"] == str(line["order_id"]) and row["line_no"] == line["line_no"]
    ]
    assert row == {
        "day": date(2017, 1, 1),
        "order_id": str(line["order_id"]),
        "line_no": line["line_no"],
        "user_id": str(line["user_id"]),
        "product_id": str(line["product_id"]),
        "channel": line["channel"],
        "quantity": line["quantity"],
        "list_total_minor": 100,
        "shelf_total_minor": 90,
        "paid_total_minor": 80,
        "currency": "USD",
        "ts": line["placed_at"],
    }
    promotion = (await export("promotions", day="2017-01-02")).to_pylist()[0]
    assert promotion["channels"] == ["store-1", "store-2"]


async def test_a_day_without_rows_is_an_empty_table(export):
    assert (await export("orders", day="2016-05-05")).num_rows == 0


async def test_the_range_names_complete_days_with_rows(service, db):
    soon = """insert into promotions
              select product_id, 'mailer', 'B', '{}', $1, $2, 'x' from products where external_id = '1'"""
    today = datetime.now(UTC).date()
    await db.execute(soon, today + timedelta(days=3), today + timedelta(days=9))
    found = (await service.get("/export/range")).json()
    assert (found["first_day"], found["last_day"]) == ("2017-01-01", "2017-03-01")
    assert found["tables"]["promotions"] == {"first_day": "2017-01-02", "last_day": "2017-01-02"}
    assert found["tables"]["prices"] == {"first_day": "2017-01-02", "last_day": "2017-01-03"}
    assert set(found["tables"]) == set(EXPORTS)


@pytest.mark.parametrize("path", ["/export/orders", "/export/orders/count"])
async def test_a_day_that_may_still_change_is_refused(service, path):
    today = datetime.now(UTC).date()
    for window in ({"day": str(today)}, {"day": "2017-01-01", "until": str(today + timedelta(days=1))}):
        answer = await service.get(path, params=window)
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (409, "day_not_complete")
        assert error["details"][0]["complete_at"] == f"{today + timedelta(days=1)}T00:01:30Z"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/export/nothing?day=2017-01-01", 404),
        ("/export/users?day=2017-01-01", 404),
        ("/export/orders", 422),
        ("/export/orders?day=2017-02-30", 422),
        ("/export/orders?day=2017-01-01&until=2017-01-01", 422),
        ("/export/orders?day=2017-01-01&shard=3/3", 422),
        ("/export/orders?day=2017-01-01&shard=0/0", 422),
        ("/export/orders?day=2017-01-01&shard=0/1025", 422),
        ("/export/orders?day=2017-01-01&shard=1", 422),
        ("/export/orders?day=2017-01-01&shard=0/2;drop", 422),
        ("/export/orders?day=9999-12-31", 422),
        ("/export/orders?day=9998-12-31", 409),
    ],
)
async def test_bad_questions_are_refused(service, path, status):
    answer = await service.get(path)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["range", "orders?day=2017-01-01", "orders/count?day=2017-01-01", "nothing"])
async def test_services_only(shop, token, path):
    for offered, code in ((f"Bearer {token}x", "token_refused"), (f"Basic {token}", "service_token_needed")):
        answer = await shop.get(f"/export/{path}", headers={"Authorization": offered})
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
    nothing = await shop.get(f"/export/{path}")
    assert (nothing.status_code, nothing.json()["error"]["code"]) == (401, "service_token_needed")
