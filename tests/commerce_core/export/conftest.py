import pyarrow.ipc
import pytest

# 60 days of orders of 12 lines from 2017-01-01, and a little of everything else.
LINES = 12
GENERATED = """
set session_replication_role = replica;  -- the keys below are right by construction
insert into products (product_id, external_id, name)
    select md5('p' || i)::uuid, i, 'Product ' || i from generate_series(0, 999) i;
insert into users (user_id, external_id, attributes, created_at)
    select md5('u' || i)::uuid, i, '{{"income": "low", "age": null}}', timestamptz '2017-01-02 12:00+00'
    from generate_series(0, 99) i;
insert into campaigns select md5('c')::uuid, 'files', '1', 'Type A', '2017-01-02', '2017-02-01';
insert into campaign_users select md5('c')::uuid, user_id from users;
insert into coupons select md5('k' || i)::uuid, md5('c')::uuid, i from generate_series(0, 99) i;
insert into coupon_products select coupon_id, md5('p1')::uuid from coupons;
insert into coupon_redemptions select coupon_id, md5('u1')::uuid, '2017-01-02' from coupons;
insert into orders
    select md5('o' || i)::uuid, 'files', i, md5('u' || i % 100)::uuid, 'store-' || i % 9, 'USD', 0, 'completed',
           timestamptz '2017-01-01 00:00+00' + i * interval '60 days' / {orders}
    from generate_series(0, {orders} - 1) i;
insert into order_lines
    select order_id, line_no, md5('p' || line_no * 7)::uuid, line_no, 100, 90, 80
    from orders, generate_series(1, {lines}) line_no;
insert into order_status_history select order_id, placed_at, 'completed', 'files' from orders where external_id < '2';
insert into price_history
    select product_id, timestamptz '2017-01-02 23:59:59.999999+00' + d * interval '1 microsecond',
           100, 90, 'USD', 'catalog'
    from products, generate_series(0, 1) d;
insert into product_versions (product_id, valid_from, name, category)
    select product_id, timestamptz '2017-01-01 00:00+00', name, 'a/b' from products;
insert into promotions
    select product_id, 'mailer', 'A', '{{store-1,store-2}}', '2017-01-02', '2017-01-09', 'files' from products;
insert into product_costs
    select product_id, timestamptz '2017-01-01 00:00+00', 50, 'USD', 'files', timestamptz '2017-01-02 12:00+00'
    from products;
insert into advertised_minimums
    select product_id, timestamptz '2017-01-01 00:00+00', 80, 'USD', 'files', timestamptz '2017-01-02 12:00+00'
    from products;
select ensure_click_partitions('2017-01-01', '2017-03-02');
insert into clicks
    select date '2017-01-01' + i % 60, md5('e' || i)::uuid, null, 's' || i, md5('p' || i % 1000)::uuid, 'view',
           timestamptz '2017-01-01 00:00+00', timestamptz '2017-01-01 12:00+00' + i % 60 * interval '1 day', null, true
    from generate_series(0, 5999) i;
set session_replication_role = origin;
"""


@pytest.fixture(scope="module")
def generated(fill):
    """A small shop: 50,400 order lines."""
    fill((GENERATED.format(orders=4_200, lines=LINES),), ("analyze",))


@pytest.fixture(scope="module")
def large(fill):
    """A shop whose orders are about 90 MB of Arrow; gives the number of order lines."""
    fill((GENERATED.format(orders=42_000, lines=LINES),), ("analyze",))
    return 42_000 * LINES


@pytest.fixture(scope="session")
def read_arrow():
    """The table in an answer's bytes."""
    return lambda content: pyarrow.ipc.open_stream(content).read_all()
