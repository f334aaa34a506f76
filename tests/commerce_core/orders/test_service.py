import pytest


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
