"""From a cart to an order that can be paid: priced, held, and written down in one short transaction.

Locks are taken in one order everywhere: cart, order, payment, coupons, stock by product. Nobody outside is asked
meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from pydantic import TypeAdapter
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.cart import service as carts
from commerce_core.cart.service import Owner
from commerce_core.checkout.quotes import Quote, QuoteError, by_product
from commerce_core.checkout.rates import Shipping, Taxes
from commerce_core.checkout.schemas import AppliedCoupon, CheckoutBody, OrderBody, PricedLine, Totals
from commerce_core.errors import ShopError
from commerce_core.inventory import service as stock
from commerce_core.orders import service as orders
from commerce_core.orders import states
from commerce_core.orders.schemas import Agreed, Line, OrderDetail, OrderSummary, StatusChange, UsedCoupon
from commerce_core.payments import service as payments
from commerce_core.promotions import redeeming
from commerce_core.promotions.redeeming import Applied, Goods

CHANNEL = "web"
_REFUSED = {
    "quote_forged": "a price quote was not made by this shop",
    "quote_expired": "a price quote has ended",
    "quote_for_another": "a price quote is somebody else's",
    "quote_given_twice": "a product has two price quotes; send one",
    "quote_currency": "a price quote is in another currency than the product",
    "quote_without_item": "a price quote is for a product that is not in the cart",
}


_ITEMS = text("""
    select product_id, quantity, name, status, list_price_minor, price_minor, currency
    from cart_items join products using (product_id) where cart_id = :cart_id order by added_at, item_id
""")
_ORDERS = f"""
    insert into orders (user_id, channel, currency, total_minor, status)
    values ({{}}, '{CHANNEL}', :currency, :total_minor, '{states.PLACED}')
    returning {", ".join(OrderSummary.model_fields)}
"""
_ORDER = text(_ORDERS.format(":user_id"))
_GUESTS_ORDER = text(f"""
    with guest as (insert into users (source, external_id) values ('guest', :cart) returning user_id)
    {_ORDERS.format("(select user_id from guest)")}
""")
_LINE, _CHECKOUT = (", ".join(schema.model_fields) for schema in (Line, Agreed))
_WRITTEN = text(f"""
    with closed as (update carts set status = 'ordered' where cart_id = :cart_id),
    lines as (
        insert into order_lines (order_id, {_LINE})
        select :order_id, {_LINE} from jsonb_populate_recordset(cast(null as order_lines), cast(:lines as jsonb)))
    insert into order_checkouts (order_id, cart_id, {_CHECKOUT})
    select :order_id, :cart_id, {_CHECKOUT}
    from jsonb_populate_record(cast(null as order_checkouts), cast(:checkout as jsonb))
""")
_LINES = TypeAdapter(list[Line])


@dataclass(frozen=True, slots=True)
class Terms:
    """How this shop sells."""

    shipping: Shipping
    taxes: Taxes
    quote_keys: Mapping[str, str]
    held_for: timedelta


async def totals(session: AsyncSession, owner: Owner, body: CheckoutBody, terms: Terms) -> Totals:
    """What the cart would cost now, sent like that; ShopError 409 as of `place`."""
    agreed, _ = await _totals(session, await _cart(session, owner, lock=False), owner, body, terms, lock=False)
    return agreed


async def place(session: AsyncSession, owner: Owner, body: OrderBody, terms: Terms) -> OrderDetail:
    """Make the cart an order whose goods are held until it is paid, or the time to pay is over.

    ShopError 409: `cart_empty`, `not_for_sale`, `mixed_currencies`, `cannot_ship`, `region_needed`, a quote's, a
    coupon's, `total_changed` with the new total, `sold_out`, `held_by_others`. The cart is as it was then.
    """
    cart_id = await _cart(session, owner, lock=True)
    agreed, coupons = await _totals(session, cart_id, owner, body, terms, lock=True)
    if (agreed.total_minor, agreed.currency) != (body.expected_total_minor, body.currency):
        message = f"it costs {agreed.total_minor} {agreed.currency} (minor units) now; look again, then order"
        raise ShopError(409, "total_changed", message, [agreed.model_dump(mode="json")])
    order = await _made(session, owner, cart_id, agreed)
    lines = [_line(line_no, line) for line_no, line in enumerate(agreed.lines, 1)]
    await redeeming.reserve(session, order.order_id, coupons)
    wanted = {line.product_id: line.quantity for line in lines}
    _, held_until = await stock.hold(session, order.order_id, wanted, lasts=terms.held_for)
    checkout = _agreed(body, agreed, held_until)
    written = {"lines": _LINES.dump_json(lines).decode(), "checkout": checkout.model_dump_json()}
    await session.execute(_WRITTEN, written | {"order_id": order.order_id, "cart_id": cart_id})
    actor = f"user:{owner.user_id}" if owner.user_id else "guest"
    at = await states.written(session, order.order_id, states.PLACED, actor=actor)
    if agreed.total_minor == 0:
        await payments.paid(session, order.order_id)
        return await orders.get_order(session, order.order_id)
    return OrderDetail(
        **order.model_dump(),
        lines=lines,
        history=[StatusChange(status=states.PLACED, at=at, actor=actor)],
        coupons=[UsedCoupon.model_validate(one, from_attributes=True) for one in agreed.coupons],
        checkout=checkout,
        shipments=[],
    )


async def _cart(session: AsyncSession, owner: Owner, *, lock: bool) -> UUID:
    cart_id = await carts.current(session, owner, lock=lock)
    if cart_id is None:
        raise ShopError(409, "cart_empty", "there is nothing in the cart")
    return cart_id


async def _made(session: AsyncSession, owner: Owner, cart_id: UUID, agreed: Totals) -> OrderSummary:
    """The new order. A shopper without an account is one for this order alone."""
    query, buyer = (_ORDER, {"user_id": owner.user_id}) if owner.user_id else (_GUESTS_ORDER, {"cart": str(cart_id)})
    made = await session.execute(query, buyer | {"currency": agreed.currency, "total_minor": agreed.total_minor})
    return OrderSummary.model_validate(dict(made.mappings().one()))


def _line(line_no: int, line: PricedLine) -> Line:
    return Line(
        line_no=line_no,
        product_id=line.product_id,
        product_name=line.name,
        quantity=line.quantity,
        list_total_minor=line.list_price_minor * line.quantity,
        shelf_total_minor=line.price_minor * line.quantity,
        paid_total_minor=line.total_minor,
    )


def _agreed(body: OrderBody, agreed: Totals, pay_by: datetime) -> Agreed:
    return Agreed(
        email=body.email,
        shipping_address=body.shipping_address,
        billing_address=body.billing_address or body.shipping_address,
        tax_id=body.tax_id,
        shipping_method=body.shipping_method,
        goods_minor=agreed.goods_minor,
        shipping_minor=agreed.shipping_minor,
        tax_minor=agreed.tax_minor,
        pay_by=pay_by,
    )


async def _totals(
    session: AsyncSession, cart_id: UUID, owner: Owner, body: CheckoutBody, terms: Terms, *, lock: bool
) -> tuple[Totals, list[Applied]]:
    """What it costs, and the coupons in it; `lock`: they stay as they are until the transaction ends."""
    priced, currency = await _priced(session, cart_id, body, terms, owner.user_id)
    shown = [Goods(line.product_id, line.total_minor) for line in priced]
    coupons = await redeeming.applied(session, body.coupons, owner.user_id, shown, currency=currency, lock=lock)
    lines = [_after(line, [one.parts[place] for one in coupons]) for place, line in enumerate(priced)]
    goods = sum(line.total_minor for line in lines)
    to = body.shipping_address
    shipping = await terms.shipping(session, to, method=body.shipping_method, goods_minor=goods, currency=currency)
    tax = await terms.taxes(session, to, net_minor=goods + shipping, currency=currency)
    agreed = Totals(
        currency=currency,
        lines=lines,
        coupons=[_told(one) for one in coupons],
        goods_minor=goods,
        shipping_minor=shipping,
        tax_minor=tax,
        total_minor=goods + shipping + tax,
    )
    return agreed, coupons


def _after(line: PricedLine, parts: list[int]) -> PricedLine:
    """The line after what coupons take off it."""
    off = sum(parts)
    return line.model_copy(update={"off_minor": off, "total_minor": line.total_minor - off})


def _told(one: Applied) -> AppliedCoupon:
    coupon = one.coupon
    return AppliedCoupon(
        code=coupon.code, off_minor=one.off_minor, funding=coupon.funding, disclosure=coupon.disclosure
    )


async def _priced(
    session: AsyncSession, cart_id: UUID, body: CheckoutBody, terms: Terms, user_id: UUID | None
) -> tuple[list[PricedLine], str]:
    """The cart's lines, each at its quote's price or at the one that everybody sees, and their currency."""
    rows = (await session.execute(_ITEMS, {"cart_id": cart_id})).all()
    if not rows:
        raise ShopError(409, "cart_empty", "there is nothing in the cart")
    unsold = [{"product_id": str(row.product_id)} for row in rows if row.status != "active" or row.price_minor is None]
    if unsold:
        raise ShopError(409, "not_for_sale", "some of it is no longer for sale; take it out of the cart", unsold)
    if len({row.currency for row in rows}) > 1:
        raise ShopError(409, "mixed_currencies", "the cart holds prices in several currencies; order them apart")
    quotes = _quotes(rows, body, terms, user_id)
    return [_priced_line(row, quotes.get(row.product_id)) for row in rows], rows[0].currency


def _quotes(rows: Any, body: CheckoutBody, terms: Terms, user_id: UUID | None) -> dict[UUID, Quote]:
    """The quotes that hold; ShopError 409 with today's price for one that does not."""
    of = {row.product_id: row for row in rows}
    try:
        quotes = by_product(body.quotes, terms.quote_keys, user_id)
        for quote in quotes.values():
            if quote.product_id not in of:
                raise QuoteError("quote_without_item", quote.product_id)
            if quote.currency != of[quote.product_id].currency:
                raise QuoteError("quote_currency", quote.product_id)
    except QuoteError as error:
        row = of.get(error.product_id) if error.product_id else None
        today = {"price_minor": row.price_minor, "currency": row.currency} if row else {}
        details = [{"product_id": str(error.product_id) if error.product_id else None} | today]
        raise ShopError(409, error.code, f"{_REFUSED[error.code]}; nothing was done", details) from error
    return quotes


def _priced_line(row: Any, quote: Quote | None) -> PricedLine:
    price = quote.price_minor if quote else row.price_minor
    return PricedLine(
        product_id=row.product_id,
        name=row.name,
        quantity=row.quantity,
        list_price_minor=row.list_price_minor if row.list_price_minor is not None else row.price_minor,
        price_minor=price,
        quoted=quote is not None,
        off_minor=0,
        total_minor=price * row.quantity,
    )
