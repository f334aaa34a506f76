"""GET /products and /categories over a catalogue full of ties: same names, same prices, no prices, same ages."""

import json
from base64 import urlsafe_b64encode

import pytest
from sqlalchemy import event

from commerce_core.catalog.cursor import question


@pytest.fixture(scope="module", autouse=True)
def _catalogue(fill, uid):
    """120 active products: 6 names, 5 prices and none, 4 ages; a third each in food, below it, and elsewhere."""
    paths = {"food": None, "food/tea": uid("food"), "food_/x": None, "foods": None}
    fill(
        *(("insert into categories values ($1, $2, $3, $4)", uid(p), p, p[-1], above) for p, above in paths.items()),
        (
            """insert into products (product_id, external_id, name, brand, description, category_id, price_minor,
                                     currency, status, created_at)
               select uuidv7(), i, (array['Green tea', 'Black tea', 'Coffee', 'Éclair', 'green', 'Tea cup'])[1 + i % 6],
                      case when i % 2 = 0 then 'Assam House' end, 'Sold by weight',
                      (array[$1::uuid, $2::uuid, $3::uuid])[1 + i % 3], nullif(i % 6, 0) * 100, 'USD',
                      case when i > 120 then 'retired' else 'active' end,
                      timestamptz '2026-01-01 00:00:00.000001+00' + (i % 4) * interval '1 day'
               from generate_series(1, 130) i""",
            uid("food"),
            uid("food/tea"),
            uid("food_/x"),
        ),
    )


async def walk(shop, **query):
    """Every product of a listing, page by page."""
    rows, pages, cursor = [], 0, None
    while True:
        page = (await shop.get("/products", params=query | ({"cursor": cursor} if cursor else {}))).raise_for_status()
        rows += page.json()["items"]
        pages += 1
        cursor = page.json()["next_cursor"]
        if cursor is None:
            return rows, pages


def expensive_last(row):
    return row["price_minor"] if row["price_minor"] is not None else 10**9


@pytest.mark.parametrize("sort", ["name", "price", "-price", "newest", "relevance"])
@pytest.mark.parametrize("limit", [7, 40, 60])
async def test_walking_shows_each_product_once(shop, db, sort, limit):
    words = {"q": "tea"} if sort == "relevance" else {}
    rows, pages = await walk(shop, sort=sort, limit=limit, **words)
    wanted = await db.fetchval(
        "select count(*) from products where status = 'active' and ($1 = '' or name ilike '%' || $1 || '%')",
        words.get("q", ""),
    )
    ids = [row["product_id"] for row in rows]
    assert len(ids) == len(set(ids)) == wanted
    assert pages == -(-wanted // limit)


async def test_orders(shop):
    cheap, _ = await walk(shop, sort="price", limit=50)
    assert [expensive_last(row) for row in cheap] == sorted(map(expensive_last, cheap))
    dear, _ = await walk(shop, sort="-price", limit=50)
    prices = [row["price_minor"] or -1 for row in dear]
    assert prices == sorted(prices, reverse=True)
    newest, _ = await walk(shop, sort="newest", limit=50)
    born = [(await shop.get(f"/products/{row['product_id']}")).json()["created_at"] for row in newest[::10]]
    assert born == sorted(born, reverse=True)


async def test_a_product_added_behind_the_cursor_does_not_shift_the_pages(shop, db, uid):
    first = (await shop.get("/products", params={"sort": "name", "limit": 50})).json()
    await db.execute("insert into products (product_id, external_id, name) values ($1, 'late', 'A first')", uid("late"))
    try:
        rest, _ = await walk(shop, sort="name", limit=50)
        second = await shop.get("/products", params={"sort": "name", "limit": 50, "cursor": first["next_cursor"]})
        seen = {row["product_id"] for row in first["items"]}
        assert not seen & {row["product_id"] for row in second.json()["items"]}
        assert len(rest) == 121
    finally:
        await db.execute("delete from products where product_id = $1", uid("late"))


async def test_a_category_holds_what_is_below_it_and_no_namesake(shop):
    below, _ = await walk(shop, category="food", limit=100)
    assert {row["category"] for row in below} == {"food", "food/tea"}
    assert len(below) == 80
    assert (await shop.get("/products", params={"category": "food_"})).json()["items"] == [
        row for row in (await shop.get("/products", params={"category": "food_/x"})).json()["items"]
    ]
    assert (await shop.get("/products", params={"category": "no/such"})).json() == {"items": [], "next_cursor": None}


async def test_search_reads_names_before_brands_and_knows_words(shop):
    names, _ = await walk(shop, q="teas", limit=100)  # stemmed
    assert {row["name"] for row in names} == {"Green tea", "Black tea", "Tea cup"}
    by_brand, _ = await walk(shop, q="assam", limit=100)
    assert {row["brand"] for row in by_brand} == {"Assam House"}
    assert {row["name"] for row in (await walk(shop, q="green -tea", limit=100))[0]} == {"green"}
    assert (await walk(shop, q="the", limit=100))[0] == []
    ranked, _ = await walk(shop, q="green or weight", limit=100)
    assert {row["name"] for row in ranked[:40]} == {"Green tea", "green"}


async def test_one_product(shop, db):
    known = await db.fetchrow("select * from products where status = 'retired' limit 1")
    found = (await shop.get(f"/products/{known['product_id']}")).raise_for_status().json()
    assert (found["name"], found["status"], found["external_id"]) == (known["name"], "retired", known["external_id"])
    missing = await shop.get("/products/00000000-0000-0000-0000-000000000000")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "product_not_found")


async def test_categories(shop, uid):
    items = (await shop.get("/categories")).json()["items"]
    assert [item["path"] for item in items] == ["food", "food/tea", "food_/x", "foods"]
    assert items[1]["parent_id"] == str(uid("food"))


def forged(key, sort="name", words=None):
    content = json.dumps([question(None, words, sort), key, "0" * 32])
    return urlsafe_b64encode(content.encode()).decode()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"cursor": "abc"}, "invalid_cursor"),
        ({"cursor": forged(7)}, "invalid_cursor"),
        ({"cursor": forged("a\x00")}, "invalid_cursor"),
        ({"cursor": forged("\ud800")}, "invalid_cursor"),
        ({"cursor": forged("x", "price")}, "invalid_cursor"),
        ({"cursor": forged(2**63, "price"), "sort": "price"}, "invalid_cursor"),
        ({"cursor": forged("yesterday", "newest"), "sort": "newest"}, "invalid_cursor"),
        ({"cursor": forged("0001-01-01T00:00:00+14:00", "newest"), "sort": "newest"}, "invalid_cursor"),
        ({"sort": "relevance"}, "invalid_request"),
        ({"sort": "cheapest"}, "invalid_request"),
        ({"limit": 0}, "invalid_request"),
        ({"limit": 101}, "invalid_request"),
        ({"q": "a\x00"}, "invalid_request"),
        ({"category": "\x00"}, "invalid_request"),
    ],
)
async def test_bad_questions_are_refused(shop, query, code):
    answer = await shop.get("/products", params=query)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)


async def test_a_cursor_of_another_question_is_refused(shop):
    page = (await shop.get("/products", params={"q": "tea", "limit": 5})).json()
    answer = await shop.get("/products", params={"q": "coffee", "cursor": page["next_cursor"]})
    assert answer.status_code == 422
    assert "another category, search or sort" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("sort", "index"), [("name", "name"), ("price", "price"), ("-price", "price_falling"), ("newest", "age")]
)
async def test_a_later_page_is_read_off_the_index(app, shop, sort, index):
    """The very statement that the shop sends, explained: an index scan that starts at the cursor."""
    page = (await shop.get("/products", params={"sort": sort, "limit": 5})).json()
    plans = []

    def explain(connection, cursor, statement, parameters, context, many):
        if "FROM products" in statement:
            cursor.execute("set enable_seqscan = off")
            cursor.execute("set enable_bitmapscan = off")
            cursor.execute(f"explain {statement}", parameters)
            plans.append("\n".join(row[0] for row in cursor.fetchall()))

    event.listen(app.state.engine.sync_engine, "before_cursor_execute", explain)
    (await shop.get("/products", params={"sort": sort, "limit": 5, "cursor": page["next_cursor"]})).raise_for_status()
    assert f"using products_by_{index} on products" in plans[0]
    assert "Index Cond: (ROW(" in plans[0]
    assert "Sort" not in plans[0]
