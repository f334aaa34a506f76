"""Asks the shop's database and the sandbox bank's books, past all of the shop's code, if money and stock are right.

Each question is a query whose rows are faults.
"""

from typing import Any

QUESTIONS = {
    "oversold": """
        select product_id from stock_levels where allocated_units + held_units > on_hand_units
    """,
    "levels_are_not_their_movements": """
        select product_id, location_id from stock_levels l
        where (on_hand_units, allocated_units) <> (
            select coalesce(sum(on_hand_delta), 0), coalesce(sum(allocated_delta), 0)
            from stock_movements m where (m.product_id, m.location_id) = (l.product_id, l.location_id))
    """,
    "held_units_are_not_the_holds": """
        select product_id, location_id from stock_levels l
        where held_units <> (
            select coalesce(sum(units), 0) from stock_holds h
            where (h.product_id, h.location_id) = (l.product_id, l.location_id))
    """,
    "allocated_units_are_not_the_orders": """
        select product_id, location_id from stock_levels l
        where allocated_units <> (
            select coalesce(sum(units - shipped_units - released_units), 0) from order_allocations a
            where (a.product_id, a.location_id) = (l.product_id, l.location_id))
    """,
    "paid_orders_without_their_units": """
        select o.order_id, l.product_id from orders o join order_lines l using (order_id)
        join order_checkouts using (order_id)
        where o.status in ('paid', 'shipped', 'completed') and l.quantity <> (
            select coalesce(sum(units), 0) from order_allocations a
            where (a.order_id, a.product_id) = (l.order_id, l.product_id))
    """,
    "holds_of_orders_that_are_over": """
        select h.hold_id from stock_holds h join orders o on o.order_id = h.owner_id where o.status <> 'placed'
    """,
    "paid_orders_that_were_not_paid": """
        select o.order_id from orders o join order_checkouts using (order_id)
        where o.status in ('paid', 'shipped', 'completed') and o.total_minor > 0 and not exists (
            select from payments p where p.order_id = o.order_id and p.status = 'succeeded'
            and (p.amount_minor, p.currency) = (o.total_minor, o.currency))
    """,
    "paid_orders_that_are_not_orders": """
        select p.payment_id from payments p join orders o using (order_id)
        where p.status = 'succeeded' and o.status = 'placed'
    """,
    "double_charged": """
        select p.order_id from payments p join sandbox.requests r on r.request_id = p.payment_id
        where r.moved and p.status <> 'late' group by p.order_id having count(*) > 1
    """,
    "bank_and_shop_differ": """
        select coalesce(r.request_id, p.payment_id)
        from (select * from sandbox.requests where kind = 'charge' and moved) r
        full join (select * from payments where provider = 'sandbox' and status in ('succeeded', 'late')) p
            on p.payment_id = r.request_id
        where r.request_id is null or p.payment_id is null
            or (r.amount_minor, r.currency) <> (p.amount_minor, p.currency)
    """,
    "returns_differ": """
        select coalesce(r.request_id, f.refund_id)
        from (select * from sandbox.requests where kind = 'return' and moved) r
        full join (select f.* from refunds f join payments p using (payment_id)
                   where p.provider = 'sandbox' and f.status = 'succeeded') f on f.refund_id = r.request_id
        where r.request_id is null or f.refund_id is null or r.amount_minor <> f.amount_minor
    """,
    "refunded_is_not_the_refunds": """
        select payment_id from payments p
        where refunded_minor <> (select coalesce(sum(amount_minor), 0) from refunds f
                                 where f.payment_id = p.payment_id and f.status <> 'failed')
    """,
    "postings_that_do_not_balance": """
        select cause from ledger_entries group by cause having sum(amount_minor) <> 0
    """,
    "books_and_payments_differ": """
        select p.payment_id from payments p
        where p.status in ('succeeded', 'late') and p.amount_minor <> coalesce((
            select amount_minor from ledger_entries e
            where e.cause = 'payment:' || p.payment_id and e.account = 'provider:' || p.provider), 0)
    """,
    "books_and_refunds_differ": """
        select f.refund_id from refunds f join payments p using (payment_id)
        where f.status = 'succeeded' and -f.amount_minor <> coalesce((
            select amount_minor from ledger_entries e
            where e.cause = 'refund:' || f.refund_id and e.account = 'provider:' || p.provider), 0)
    """,
    "numbers_with_gaps": """
        select seller_tax_id, series, year from invoice_counters c
        where last <> (
            select count(*) from (select 'invoice' as series, seller_tax_id, year, seq from invoices
                                  union all select 'credit_note', seller_tax_id, year, seq from credit_notes) p
            where (p.series, p.seller_tax_id, p.year) = (c.series, c.seller_tax_id, c.year)
                and seq between 1 and last)
    """,
    "invoices_are_not_what_was_paid": """
        select order_id from invoices i
        where total_minor > 0 and not exists (
                select from payments p where p.order_id = i.order_id and p.status = 'succeeded'
                and (p.amount_minor, p.currency) = (i.total_minor, i.currency))
            or total_minor <> (select sum(net_minor + tax_minor) from invoice_lines l where l.order_id = i.order_id)
    """,
    "credit_notes_and_books_differ": """
        select refund_id from credit_notes c
        where (goods_minor, shipping_minor, tax_minor) <> (
            select coalesce(sum(amount_minor) filter (where account = 'sales'), 0),
                   coalesce(sum(amount_minor) filter (where account = 'shipping'), 0),
                   coalesce(sum(amount_minor) filter (where account = 'tax'), 0)
            from ledger_entries e where e.cause = 'refund:' || c.refund_id)
    """,
    "credited_more_than_billed": """
        select order_id from invoices i
        where total_minor < (select sum(total_minor) from credit_notes c where c.order_id = i.order_id)
    """,
    "neither_a_paper_nor_due": """
        select order_id from order_status_history h join order_checkouts using (order_id) where status = 'paid'
            and not exists (select from invoices i where i.order_id = h.order_id)
            and not exists (select from invoices_due d where d.subject_id = h.order_id)
        union all
        select refund_id from refunds r join payments p using (payment_id)
        where r.status = 'succeeded' and p.status = 'succeeded'
            and not exists (select from credit_notes c where c.refund_id = r.refund_id)
            and not exists (select from invoices_due d where d.subject_id = r.refund_id)
    """,
    "coupons_used_more_than_once": """
        select coupon_id from order_coupons join orders using (order_id) where status <> 'cancelled'
        group by coupon_id having count(*) > 1
    """,
    "coupons_are_not_as_their_orders": """
        select coupon_id from user_coupons c left join orders o using (order_id)
        where c.status = 'reserved' and o.status <> 'placed'
            or c.status = 'used' and o.status not in ('paid', 'shipped', 'completed')
            or c.status <> 'open' and c.user_id <> o.user_id
        union all
        select coupon_id from order_coupons u join orders o using (order_id) join user_coupons c using (coupon_id)
        where o.status <> 'cancelled' and c.order_id is distinct from o.order_id
    """,
    "lines_are_not_lowered_by_their_coupons": """
        select order_id from order_checkouts c
        where (select sum(shelf_total_minor - paid_total_minor) from order_lines l where l.order_id = c.order_id)
            <> (select coalesce(sum(off_minor), 0) from order_coupons u where u.order_id = c.order_id)
    """,
    "totals_are_not_their_parts": """
        select o.order_id from orders o join order_checkouts c using (order_id)
        where o.total_minor <> c.goods_minor + c.shipping_minor + c.tax_minor or c.goods_minor <> (
            select sum(paid_total_minor) from order_lines l where l.order_id = o.order_id)
    """,
}

# Asked when everything had time to end.
AT_REST = {
    "payments_still_processing": "select payment_id from payments where status = 'processing'",
    "refunds_still_processing": "select refund_id from refunds where status = 'processing'",
    "orders_unpaid_past_their_time": """
        select o.order_id from orders o join order_checkouts using (order_id)
        where o.status = 'placed' and pay_by < now()
    """,
    "holds_past_their_time": "select hold_id from stock_holds where expires_at < now() or pinned",
}


async def faults(connection: Any, *, at_rest: bool = False) -> dict[str, list[tuple[Any, ...]]]:
    """What is wrong, by question; empty when nothing is. `connection` is asyncpg's."""
    questions = QUESTIONS | (AT_REST if at_rest else {})
    found = {name: [tuple(row) for row in await connection.fetch(query)] for name, query in questions.items()}
    return {name: rows for name, rows in found.items() if rows}
