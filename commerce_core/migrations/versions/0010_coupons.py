"""Coupons of one shopper each, what they took off orders, and invoices that show it."""

from alembic import op

revision = "0010"
down_revision = "0009"

TABLES = """
create table user_coupons (
    coupon_id     uuid primary key default uuidv7(),
    user_id       uuid not null references users,
    key           text not null unique,
    code          text not null unique,
    campaign      text not null,
    currency      char(3) not null,
    amount_minor  bigint,
    rate_ppm      bigint,
    minimum_minor bigint not null default 0 constraint user_coupons_minimum_not_negative check (minimum_minor >= 0),
    valid_from    timestamptz not null,
    valid_until   timestamptz not null,
    funding       text not null
        constraint user_coupons_funding_known check (funding in ('retailer', 'manufacturer')),
    disclosure    text not null,
    status        text not null default 'open'
        constraint user_coupons_status_known check (status in ('open', 'reserved', 'used')),
    order_id      uuid references orders,
    issued_at     timestamptz not null default now(),
    constraint user_coupons_amount_or_rate check (num_nonnulls(amount_minor, rate_ppm) = 1),
    constraint user_coupons_worth_something check (amount_minor > 0 and rate_ppm between 1 and 1000000),
    constraint user_coupons_period_not_empty check (valid_from < valid_until),
    constraint user_coupons_order_unless_open check ((status = 'open') = (order_id is null))
);
create index user_coupons_by_user on user_coupons (user_id, coupon_id);
create index user_coupons_by_campaign on user_coupons (campaign);
create index user_coupons_by_order on user_coupons (order_id) where order_id is not null;

create table user_coupon_products (
    coupon_id  uuid not null references user_coupons,
    product_id uuid not null references products,
    primary key (coupon_id, product_id)
);

create table order_coupons (
    order_id  uuid not null references orders,
    coupon_id uuid not null references user_coupons,
    off_minor bigint not null constraint order_coupons_take_something check (off_minor > 0),
    primary key (order_id, coupon_id)
);
create trigger order_coupons_append_only before update or delete or truncate on order_coupons
    for each statement execute function refuse_change();

alter table invoice_lines add column off_minor bigint not null default 0
    constraint invoice_lines_off_not_negative check (off_minor >= 0);
"""


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for statement in TABLES.split(";\n"):
        if statement.strip():
            run(statement)
