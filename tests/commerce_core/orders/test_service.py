import pytest
from sqlalchemy import text

from commerce_core.orders import states


@pytest.fixture(scope="module", autouse=True)
def _order(fill, uid):
    o, user, tea, cup = uid("order"), uid("anna"), uid("tea"), uid("cup")
    fill(
        ("insert into users (user_id, external_id) values ($1, 'anna')", user),
        ("insert into products (product_id, external_id, name) values ($1, 't', 'Tea'), ($2, 'c', 'Cup')", tea, cup),
        ("insert into orders values ($1, 'shop', null, $2, 'web', 'EUR', 650, 'paid', '2026-11-01 10:00Z')", o, user),
        ("insert into order_lines values ($1, 2, $2, 1, 400, 350, 350), ($1, 1, $3, 3, 300, 300, 300)", o, cup, tea),
        (
            """insert into order_status_history values
               ($1, '2026-11-01 10:05Z', 'paid', 'bank'), ($1, '2026-11-01 10:00Z', 'placed', 'anna')""",
            o,
        ),
    )


@pytest.fixture
def order(app, db, uid):
    """A function: an order that was just placed; its id."""

    async def place():
        made = (
            "insert into orders (user_id, channel, currency, total_minor, status)"
            " values ($1, 'web', 'EUR', 1, 'placed') returning order_id"
        )
        order_id = await db.fetchval(made, uid("anna"))
        async with app.state.transactions() as session:
            await states.written(session, order_id, "placed", actor="anna")
        return order_id

    return place


async def test_an_order_with_its_lines_and_history(service, uid):
    answer = await service.get(f"/orders/{uid('order')}")
    assert answer.json() == {
        "order_id": str(uid("order")),
        "user_id": str(uid("anna")),
        "channel": "web",
        "currency": "EUR",
        "total_minor": 650,
        "status": "paid",
        "placed_at": "2026-11-01T10:00:00Z",
        "lines": [
            {
                "line_no": 1,
                "product_id": str(uid("tea")),
                "product_name": "Tea",
                "quantity": 3,
                "list_total_minor": 300,
                "shelf_total_minor": 300,
                "paid_total_minor": 300,
            },
            {
                "line_no": 2,
                "product_id": str(uid("cup")),
                "product_name": "Cup",
                "quantity": 1,
                "list_total_minor": 400,
                "shelf_total_minor": 350,
                "paid_total_minor": 350,
            },
        ],
        "history": [
            {"status": "placed", "at": "2026-11-01T10:00:00Z", "actor": "anna"},
            {"status": "paid", "at": "2026-11-01T10:05:00Z", "actor": "bank"},
        ],
        "coupons": [],
        "checkout": None,
        "shipments": [],
    }


async def history(service, order_id):
    changes = (await service.get(f"/orders/{order_id}")).json()["history"]
    return [(change["status"], change["at"]) for change in changes]


async def test_a_cancellation_that_waited_is_written_down_after_what_it_waited_for(app, service, order):
    order_id = await order()
    async with app.state.transactions() as slow:
        await slow.execute(text("select now()"))  # it begins before the payment does
        async with app.state.transactions() as session:
            await states.move(session, order_id, "paid", actor="bank")
        await states.move(slow, order_id, "cancelled", actor="anna")
    said = await history(service, order_id)
    assert [status for status, _ in said] == ["placed", "paid", "cancelled"]
    assert said == sorted(said, key=lambda change: change[1])


async def test_statuses_of_one_moment_are_told_in_the_order_in_which_they_can_follow(service, order, db):
    order_id = await order()
    await db.execute("update orders set status = 'cancelled' where order_id = $1", order_id)
    for status in ("cancelled", "paid"):
        await db.execute(
            "insert into order_status_history select order_id, at, $2, 'bank' from order_status_history"
            " where order_id = $1 and status = 'placed'",
            order_id,
            status,
        )
    assert [status for status, _ in await history(service, order_id)] == ["placed", "paid", "cancelled"]


async def test_an_unknown_order(service, uid):
    answer = await service.get(f"/orders/{uid('nothing')}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "order_not_found")


@pytest.mark.parametrize(
    ("header", "refusal"),
    [
        (None, (404, "order_not_found")),
        ("Basic abc", (404, "order_not_found")),
        ("Bearer wrong", (401, "token_refused")),
        ("Bearer ünïcode", (401, "token_refused")),
    ],
)
async def test_for_strangers_there_is_no_order(shop, uid, header, refusal):
    headers = {} if header is None else {"Authorization": header.encode()}
    answer = await shop.get(f"/orders/{uid('order')}", headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == refusal
    assert ("www-authenticate" in answer.headers) == (answer.status_code == 401)
