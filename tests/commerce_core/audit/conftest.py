"""Things for staff to change."""

from uuid import uuid4

import pytest

from tests.commerce_core.buyers import Buyer, stock_up
from tests.commerce_core.promotions.conftest import coupon

ANN = "ann@example.org"  # whose name, address and e-mail no entry may hold


class World:
    """What requests are about, made when it is first asked for."""

    def __init__(self, shop, service, db):
        self.ann, self.service, self.db = Buyer(shop), service, db

    async def stock(self):
        """A product, and where it lies."""
        product = await stock_up(self.db, 10)
        return product, await self.db.fetchval("select location_id from stock_levels where product_id = $1", product)

    async def elsewhere(self):
        """Another location."""
        made = "insert into locations (code, name) values ($1, 'Elsewhere') returning location_id"
        return await self.db.fetchval(made, str(uuid4()))

    async def paid(self):
        """An order of two units, its product and its payment."""
        product, _ = await self.stock()
        await self.ann.put(product, 2)
        order = await self.ann.order(1_000)
        assert order.status_code == 201, order.text
        payment = await self.ann.pay(order)
        return order.json()["order_id"], product, payment.json()["payment_id"]

    async def sent(self):
        """An order of which a unit is on its way, its product, and the parcel."""
        order, product, _ = await self.paid()
        lines = [{"product_id": str(product), "units": 1}]
        answer = await self.post(f"/orders/{order}/shipments", {"lines": lines, "carrier": "DHL"})
        assert answer.status_code == 201, answer.text
        return order, product, answer.json()["shipment_id"]

    async def mail(self):
        """A mail that is due."""
        assert (await self.ann.client.post("/register", json={"email": ANN})).status_code == 202
        return await self.db.fetchval("select mail_id from account_mails order by mail_id desc limit 1")

    async def post(self, path, body):
        return await self.service.post(path, json=body, headers={"Idempotency-Key": str(uuid4())})


@pytest.fixture
async def world(shop, service, db):
    return World(shop, service, db)


@pytest.fixture
def entries(db):
    """A function: the entries that a request left."""

    async def of(request_id):
        return await db.fetch("select * from audit_entries where request_id = $1", str(request_id))

    return of


def lines(product, units=1, **more):
    return {"lines": [{"product_id": str(product), "units": units}]} | more


async def _movement(world):
    product, where = await world.stock()
    ids = {"product_id": str(product), "location_id": str(where)}
    return "/inventory/movements", ids | {"kind": "received", "units": 3, "reason": "x"}, f"product:{product}"


async def _transfer(world):
    product, where = await world.stock()
    ids = {"product_id": str(product), "from_location_id": str(where), "to_location_id": str(await world.elsewhere())}
    return "/inventory/transfers", ids | {"units": 3, "reason": "x"}, f"product:{product}"


async def _low(world):
    product, where = await world.stock()
    return f"/inventory/stock/{product}/{where}", {"low_units": 4}, f"product:{product}"


async def _location(world):
    return "/inventory/locations", {"code": str(uuid4()), "name": "New"}, None


async def _rates(world):
    count = await world.db.fetchval("select count(*) from tax_rates")
    return "/rates", {"taxes": [{"country": c, "rate_ppm": 1} for c in ("XA", "XB", "XC")[: count + 1]]}, "rates"


async def _product(world):
    product, _ = await world.stock()
    body = {"name": "Towel", "price_minor": 700, "list_price_minor": 700, "currency": "USD"}
    return f"/products/{product}", body, f"product:{product}"


async def _refund(world):
    order, _, payment = await world.paid()
    return f"/payments/{payment}/refunds", {"amount_minor": 100, "reason": "a scratch"}, f"order:{order}"


async def _shipment(world):
    order, product, _ = await world.paid()
    return f"/orders/{order}/shipments", lines(product, carrier="DHL"), f"order:{order}"


async def _delivered(world):
    order, _, parcel = await world.sent()
    return f"/shipments/{parcel}/delivered", None, f"order:{order}"


async def _return(world):
    order, product, _ = await world.sent()
    return f"/orders/{order}/returns", lines(product), f"order:{order}"


async def _cancel(world):
    order, _, _ = await world.paid()
    return f"/orders/{order}/cancel", None, f"order:{order}"


async def _mail(world):
    mail = await world.mail()
    return f"/account-mails/{mail}", None, f"account-mail:{mail}"


async def _book(world, upto):
    """The next step of a new price book that has come so far."""
    product, _ = await world.stock()
    move = {"from_minor": 500, "list_price_minor": 500, "price_minor": 490, "low_minor": 450, "high_minor": 500}
    line = {"product_id": str(product), "currency": "USD", "reasons": ["x"]} | move
    proposal = {"policy": str(uuid4()), "day": "2026-11-27", "lines": [line]}
    if upto == "":
        return "/price-books", proposal, None
    others = "insert into products (external_id, name, price_minor, currency) select uuidv7()::text, 'Other', 1, 'USD'"
    await world.db.execute(f"{others} from generate_series(1, 500)")
    book_id = (await world.service.post("/price-books", json=proposal)).json()["book_id"]
    ends = {"low": 0, "high": 1}
    simulation = {"method": "x", "margin_minor": ends, "revenue_minor": ends, "units": ends}
    steps = {"simulation": simulation, "guard": None, "approval": None}
    for step, body in steps.items():
        if step == upto:
            return f"/price-books/{book_id}/{step}", body, f"price_book:{book_id}"
        done = await world.service.post(f"/price-books/{book_id}/{step}", json=body)
        assert done.is_success, done.text
    body = {"reason": "x"} if upto == "rejection" else None
    return f"/price-books/{book_id}/{upto}", body, f"price_book:{book_id}"


async def _rows(world, path, **row):
    product, _ = await world.stock()
    return path, {"source": "x", "rows": [{"product_id": str(product), "currency": "USD"} | row]}, path[1:]


AT = "2026-11-01T00:00:00Z"
RIVAL = {"competitor": "Rival", "price_minor": 480, "match_quality": 1, "seen_at": AT}


async def _rollback(world):
    path, _, _ = await _book(world, "publication")
    before = (await world.service.get("/price-books/live")).json()["version"] or 0
    assert (await world.service.post(path)).is_success
    return "/price-books/rollback", {"to_version": before, "reason": "x"}, "prices"


async def _switch(world):
    stop = "insert into price_switches (stopped, reason, actor) values (true, 'x', 'test')"
    await world.db.execute(stop)
    return "/price-books/switch", {"stopped": False, "reason": "x"}, "price_switch"


async def _coupons(world):
    campaign = str(uuid4())
    someone = "insert into users (source, external_id) values ('test', $1) returning user_id"
    user = await world.db.fetchval(someone, campaign)
    return "/coupons", {"coupons": [coupon(user, campaign=campaign)]}, f"campaign:{campaign}"


# How to change something by each route that is for staff or services: path, body, and what it is of.
REQUESTS = {
    "PUT /products/{product_id}": _product,
    "PUT /rates": _rates,
    "POST /coupons": _coupons,
    "POST /payments/{payment_id}/refunds": _refund,
    "POST /orders/{order_id}/cancel": _cancel,
    "POST /orders/{order_id}/shipments": _shipment,
    "POST /shipments/{shipment_id}/delivered": _delivered,
    "POST /orders/{order_id}/returns": _return,
    "POST /inventory/locations": _location,
    "PATCH /inventory/stock/{product_id}/{location_id}": _low,
    "POST /inventory/movements": _movement,
    "POST /inventory/transfers": _transfer,
    "POST /account-mails/{mail_id}": _mail,
    "POST /costs": lambda world: _rows(world, "/costs", cost_minor=300, valid_from=AT),
    "POST /advertised-minimums": lambda world: _rows(world, "/advertised-minimums", minimum_minor=3, valid_from=AT),
    "POST /competitor-prices": lambda world: _rows(world, "/competitor-prices", **RIVAL),
    "POST /price-books": lambda world: _book(world, ""),
    "POST /price-books/{book_id}/simulation": lambda world: _book(world, "simulation"),
    "POST /price-books/{book_id}/guard": lambda world: _book(world, "guard"),
    "POST /price-books/{book_id}/approval": lambda world: _book(world, "approval"),
    "POST /price-books/{book_id}/rejection": lambda world: _book(world, "rejection"),
    "POST /price-books/{book_id}/canary": lambda world: _book(world, "canary"),
    "POST /price-books/{book_id}/publication": lambda world: _book(world, "publication"),
    "POST /price-books/rollback": _rollback,
    "PUT /price-books/switch": _switch,
}
PEOPLE_ONLY = {"PUT /price-books/switch"}  # not even the platform's own services


@pytest.fixture
def request_for(world):
    """A function: a request that changes something by that route."""
    return lambda name: REQUESTS[name](world)
