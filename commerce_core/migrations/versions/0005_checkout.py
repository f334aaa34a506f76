"""Carts, wishlists, checkouts, payments with their books, and fulfilment."""

from alembic import op

revision = "0005"
down_revision = "0004"

TABLES = """
create table carts (
    cart_id     uuid primary key default uuidv7(),
    user_id     uuid references users,
    secret_hash bytea,
    status      text not null default 'open'
        constraint carts_status_known check (status in ('open', 'merged', 'ordered')),
    created_at  timestamptz not null default now(),
    constraint carts_have_one_owner check ((user_id is null) <> (secret_hash is null))
);
create unique index carts_open_by_user on carts (user_id) where status = 'open';
create unique index carts_by_secret on carts (secret_hash);

create table cart_items (
    item_id          uuid primary key default uuidv7(),
    cart_id          uuid not null references carts,
    product_id       uuid not null references products,
    quantity         bigint not null constraint cart_items_quantity_in_range check (quantity between 1 and 999),
    seen_price_minor bigint,
    seen_currency    char(3),
    added_at         timestamptz not null default now(),
    unique (cart_id, product_id)
);

create table wishlist_items (
    user_id    uuid not null references users,
    product_id uuid not null references products,
    added_at   timestamptz not null default now(),
    primary key (user_id, product_id)
);

alter table order_lines add column product_name text;

create table order_checkouts (
    order_id         uuid primary key references orders,
    cart_id          uuid not null unique references carts,
    email            text not null,
    shipping_address jsonb not null,
    billing_address  jsonb not null,
    tax_id           text,
    shipping_method  text not null,
    goods_minor      bigint not null,
    shipping_minor   bigint not null,
    tax_minor        bigint not null,
    pay_by           timestamptz not null,
    constraint order_checkouts_positive check (goods_minor >= 0 and shipping_minor >= 0 and tax_minor >= 0)
);
create index orders_unpaid on orders (order_id) where status = 'placed';

create table tax_rates (
    country  char(2) not null,
    region   text not null default '',
    rate_ppm bigint not null constraint tax_rates_in_range check (rate_ppm between 0 and 1000000),
    primary key (country, region)
);

create table shipping_rates (
    method      text not null,
    country     text not null default '',
    currency    char(3) not null,
    from_minor  bigint not null,
    price_minor bigint not null,
    primary key (method, country, currency, from_minor),
    constraint shipping_rates_not_negative check (from_minor >= 0 and price_minor >= 0)
);

create table payments (
    payment_id     uuid primary key default uuidv7(),
    order_id       uuid not null references orders,
    provider       text not null,
    method         text not null,
    currency       char(3) not null,
    amount_minor   bigint not null constraint payments_amount_positive check (amount_minor > 0),
    refunded_minor bigint not null default 0,
    status         text not null default 'processing'
        constraint payments_status_known check (status in ('processing', 'succeeded', 'failed', 'late')),
    reference      text,
    failure        text,
    claimed_until  timestamptz not null,
    created_at     timestamptz not null default now(),
    constraint payments_refunds_within check (refunded_minor between 0 and amount_minor)
);
create unique index payments_one_at_a_time on payments (order_id) where status in ('processing', 'succeeded');
create index payments_processing on payments (claimed_until) where status = 'processing';
create unique index payments_by_reference on payments (provider, reference);

create table payment_events (
    event_id     uuid primary key default uuidv7(),
    payment_id   uuid not null references payments,
    kind         text not null,
    amount_minor bigint not null,
    detail       jsonb not null default '{}',
    at           timestamptz not null default now()
);
create index payment_events_by_payment on payment_events (payment_id, event_id);

create table refunds (
    refund_id     uuid primary key default uuidv7(),
    payment_id    uuid not null references payments,
    amount_minor  bigint not null constraint refunds_amount_positive check (amount_minor > 0),
    reason        text not null,
    actor         text not null,
    status        text not null default 'processing'
        constraint refunds_status_known check (status in ('processing', 'succeeded', 'failed', 'late')),
    reference     text,
    failure       text,
    claimed_until timestamptz not null,
    created_at    timestamptz not null default now()
);
create index refunds_by_payment on refunds (payment_id);
create index refunds_processing on refunds (claimed_until) where status = 'processing';

create table webhook_inbox (
    source      text not null,
    external_id text not null,
    payload     jsonb not null,
    received_at timestamptz not null default now(),
    next_at     timestamptz not null default now(),
    attempts    bigint not null default 0,
    handled_at  timestamptz,
    outcome     text,
    primary key (source, external_id)
);
create index webhook_inbox_waiting on webhook_inbox (next_at) where handled_at is null;

create table ledger_entries (
    entry_id     bigint generated always as identity primary key,
    cause        text not null,
    account      text not null,
    currency     char(3) not null,
    amount_minor bigint not null constraint ledger_entries_move_something check (amount_minor <> 0),
    order_id     uuid not null references orders,
    at           timestamptz not null default now(),
    unique (cause, account)
);
create index ledger_entries_by_order on ledger_entries (order_id);

create table order_allocations (
    order_id       uuid not null references orders,
    product_id     uuid not null references products,
    location_id    uuid not null references locations,
    units          bigint not null constraint order_allocations_hold_something check (units > 0),
    shipped_units  bigint not null default 0,
    released_units bigint not null default 0,
    returned_units bigint not null default 0,
    primary key (order_id, product_id, location_id),
    constraint order_allocations_add_up check (
        shipped_units >= 0 and released_units >= 0 and returned_units >= 0
        and shipped_units + released_units <= units and returned_units <= shipped_units
    )
);

create table shipments (
    shipment_id   uuid primary key default uuidv7(),
    order_id      uuid not null references orders,
    status        text not null default 'sent'
        constraint shipments_status_known check (status in ('sent', 'delivered')),
    carrier       text not null,
    tracking_code text,
    sent_at       timestamptz not null default now(),
    delivered_at  timestamptz,
    constraint shipments_delivered_at_a_time check ((status = 'delivered') = (delivered_at is not null))
);
create index shipments_by_order on shipments (order_id);

create table shipment_lines (
    shipment_id uuid not null references shipments,
    order_id    uuid not null,
    product_id  uuid not null,
    location_id uuid not null,
    units       bigint not null constraint shipment_lines_hold_something check (units > 0),
    primary key (shipment_id, product_id, location_id),
    foreign key (order_id, product_id, location_id) references order_allocations
);

create schema sandbox;

create table sandbox.requests (
    request_id   uuid primary key,
    kind         text not null,
    method       text not null,
    amount_minor bigint not null,
    currency     char(3) not null,
    asked        bigint not null default 1,
    moved        boolean not null default false,
    at           timestamptz not null default now()
);
"""

# Checked when the transaction commits, when all sides of a posting are there.
BALANCED = (
    """
    create function refuse_unbalanced() returns trigger language plpgsql as $$
    begin
        if (select sum(amount_minor) <> 0 or min(currency) <> max(currency)
            from ledger_entries where cause = new.cause) then
            raise exception 'the posting % does not balance', new.cause using errcode = 'check_violation';
        end if;
        return null;
    end $$
    """,
    "create constraint trigger ledger_entries_balance after insert on ledger_entries deferrable initially deferred"
    " for each row execute function refuse_unbalanced()",
)


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for statement in TABLES.split(";\n"):
        if statement.strip():
            run(statement)
    for statement in BALANCED:
        run(statement)
    for table in ("payment_events", "ledger_entries"):
        run(
            f"create trigger {table}_append_only before update or delete or truncate on {table}"
            " for each statement execute function refuse_change()"
        )
