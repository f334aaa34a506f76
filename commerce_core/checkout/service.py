"""From a cart to an order that can be paid: priced, held, and written down in one short transaction.

Locks are taken in one order everywhere: cart, order, payment, coupons, stock by product. Nobody outside is asked
meanwhile.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.cart import service as carts
from commerce_core.cart.models import Cart, CartItem
from commerce_core.cart.service import Owner
from commerce_core.catalog.models import Product
from commerce_core.checkout.models import OrderCheckout
from commerce_core.checkout.quotes import Quote, QuoteError, by_product
from commerce_core.checkout.rates import Shipping, Taxes
from commerce_core.checkout.schemas import AppliedCoupon, CheckoutBody, OrderBody, PricedLine, Totals
from commerce_core.errors import ShopError
from commerce_core.inventory import service as stock
from commerce_core.orders import states
from commerce_core.orders.models import Order, OrderLine
from commerce_core.payments import service as payments
from commerce_core.promotions import redeeming
from commerce_core.promotions.redeeming import Applied, Goods
from commerce_core.users.models import User

CHANNEL = "web"
_REFUSED = {
    "quote_forged": "a price quote was not made by this shop",
    "quote_expired": "a price quote has ended",
    "quote_for_another": "a price quote is somebody else's",
    "quote_given_twice": "a product has two price quotes; send one",
    "quote_currency": "a price quote is in another currency than the product",
    "quote_without_item": "a price quote is for a product that is not in the cart",
}


@dataclass(frozen=True, slots=True)
class Terms:
    """How this shop sells."""

    shipping: Shipping
    taxes: Taxes
    quote_keys: Mapping[str, str]
    held_for: timedelta


async def totals(session: AsyncSession, owner: Owner, body: CheckoutBody, terms: Terms) -> Totals:
    """What the cart would cost now, sent like that; ShopError 409 as of `place`."""
    agreed, _ = await _totals(session, await _cart(session, owner), owner, body, terms)
    return agreed


async def place(session: AsyncSession, owner: Owner, body: OrderBody, terms: Terms) -> UUID:
    """Make the cart an order whose goods are held until it is paid, or the time to pay is over; its id.

    ShopError 409: `cart_empty`, `not_for_sale`, `mixed_currencies`, `cannot_ship`, a quote's, a coupon's,
    `total_changed` with the new total, `sold_out`, `held_by_others`. The cart is as it was then.
    """
    cart = await _cart(session, owner)
    agreed, coupons = await _totals(session, cart, owner, body, terms, lock=True)
    if (agreed.total_minor, agreed.currency) != (body.expected_total_minor, body.currency):
        message = f"it costs {agreed.total_minor} {agreed.currency} (minor units) now; look again, then order"
        raise ShopError(409, "total_changed", message, [agreed.model_dump(mode="json")])
    user_id = owner.user_id or await _guest(session, cart)
    values = {"user_id": user_id, "channel": CHANNEL, "currency": agreed.currency, "total_minor": agreed.total_minor}
    order = insert(Order).values(**values, status=states.PLACED).returning(Order.order_id)
    order_id: UUID = (await session.execute(order)).scalar_one()
    await session.execute(insert(OrderLine), [_line(order_id, n, line) for n, line in enumerate(agreed.lines, 1)])
    await redeeming.reserve(session, order_id, coupons)
    wanted = {line.product_id: line.quantity for line in agreed.lines}
    _, held_until = await stock.hold(session, order_id, wanted, lasts=terms.held_for)
    copied = body.model_dump(mode="json")
    await session.execute(
        insert(OrderCheckout).values(
            order_id=order_id,
            cart_id=cart.cart_id,
            email=body.email,
            shipping_address=copied["shipping_address"],
            billing_address=copied["billing_address"] or copied["shipping_address"],
            tax_id=body.tax_id,
            shipping_method=body.shipping_method,
            goods_minor=agreed.goods_minor,
            shipping_minor=agreed.shipping_minor,
            tax_minor=agreed.tax_minor,
            pay_by=held_until,
        )
    )
    await states.written(session, order_id, states.PLACED, actor=_actor(owner))
    await session.execute(update(Cart).where(Cart.cart_id == cart.cart_id).values(status="ordered"))
    if agreed.total_minor == 0:
        await payments.paid(session, order_id)
    return order_id


def _actor(owner: Owner) -> str:
    return f"user:{owner.user_id}" if owner.user_id else "guest"


async def _cart(session: AsyncSession, owner: Owner) -> Cart:
    cart = await carts.locked(session, owner)
    if cart is None:
        raise ShopError(409, "cart_empty", "there is nothing in the cart")
    return cart


async def _guest(session: AsyncSession, cart: Cart) -> UUID:
    """A shopper without an account is one for this order alone."""
    made = insert(User).values(source="guest", external_id=str(cart.cart_id)).returning(User.user_id)
    user_id: UUID = (await session.execute(made)).scalar_one()
    return user_id


async def _totals(
    session: AsyncSession, cart: Cart, owner: Owner, body: CheckoutBody, terms: Terms, *, lock: bool = False
) -> tuple[Totals, list[Applied]]:
    """What it costs, and the coupons in it; `lock`: they stay as they are until the transaction ends."""
    priced, currency = await _priced(session, cart, body, terms, owner.user_id)
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
    session: AsyncSession, cart: Cart, body: CheckoutBody, terms: Terms, user_id: UUID | None
) -> tuple[list[PricedLine], str]:
    """The cart's lines, each at its quote's price or at the one that everybody sees, and their currency."""
    query = (
        select(
            CartItem.product_id,
            CartItem.quantity,
            Product.name,
            Product.status,
            Product.list_price_minor,
            Product.price_minor,
            Product.currency,
        )
        .join(Product, Product.product_id == CartItem.product_id)
        .where(CartItem.cart_id == cart.cart_id)
        .order_by(CartItem.added_at, CartItem.item_id)
    )
    rows = (await session.execute(query)).all()
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


def _line(order_id: UUID, line_no: int, line: PricedLine) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "line_no": line_no,
        "product_id": line.product_id,
        "product_name": line.name,
        "quantity": line.quantity,
        "list_total_minor": line.list_price_minor * line.quantity,
        "shelf_total_minor": line.price_minor * line.quantity,
        "paid_total_minor": line.total_minor,
    }
