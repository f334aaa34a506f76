"""Catalogue, users, orders, promotions, clicks and loads."""

from alembic import op

revision = "0001"
down_revision = None

CATALOG = """
create table categories (
    category_id uuid primary key default uuidv7(),
    path        text not null unique,
    name        text not null,
    parent_id   uuid references categories
);

create table products (
    product_id       uuid primary key default uuidv7(),
    source           text not null default 'shop',
    external_id      text not null,
    name             text not null,
    description      text,
    brand            text,
    size             text,
    category_id      uuid references categories,
    status           text not null default 'active'
        constraint products_status_known check (status in ('active', 'retired')),
    recommendable    boolean not null default true,
    list_price_minor bigint,
    price_minor      bigint,
    currency         char(3),
    created_at       timestamptz not null default now(),
    search           tsvector not null generated always as (
        setweight(to_tsvector('english', name), 'A')
        || setweight(to_tsvector('english', coalesce(brand, '')), 'B')
        || setweight(to_tsvector('english', coalesce(description, '')), 'D')
    ) stored,
    unique (source, external_id),
    constraint products_price_not_negative check (list_price_minor >= 0 and price_minor >= 0),
    constraint products_price_has_currency check (price_minor is null or currency is not null)
);
create index products_search on products using gin (search);
create index products_by_category on products (category_id);
create index products_by_name on products (name, product_id) where status = 'active';
create index products_by_age on products (created_at, product_id) where status = 'active';
create index products_by_price on products (coalesce(price_minor, 9223372036854775807), product_id)
    where status = 'active';
create index products_by_price_falling on products (coalesce(price_minor, -1), product_id) where status = 'active';

create table product_versions (
    product_id    uuid not null references products,
    valid_from    timestamptz not null default now(),
    name          text not null,
    category      text not null default '',
    brand         text,
    size          text,
    description   text,
    status        text not null default 'active'
        constraint product_versions_status_known check (status in ('active', 'retired')),
    recommendable boolean not null default true,
    primary key (product_id, valid_from)
);
create index product_versions_by_time on product_versions (valid_from);

create table price_history (
    product_id       uuid not null references products,
    valid_from       timestamptz not null default now(),
    list_price_minor bigint not null,
    price_minor      bigint not null,
    currency         char(3) not null,
    source           text not null,
    primary key (product_id, valid_from),
    constraint price_history_price_not_negative check (list_price_minor >= 0 and price_minor >= 0)
);
create index price_history_by_time on price_history (valid_from);
"""

USERS_AND_ORDERS = """
create table users (
    user_id     uuid primary key default uuidv7(),
    source      text not null default 'shop',
    external_id text not null,
    email       text,
    attributes  jsonb not null default '{}',
    created_at  timestamptz not null default now(),
    unique (source, external_id)
);

create table orders (
    order_id    uuid primary key default uuidv7(),
    source      text not null default 'shop',
    external_id text,
    user_id     uuid not null references users,
    channel     text not null,
    currency    char(3) not null,
    total_minor bigint not null constraint orders_total_not_negative check (total_minor >= 0),
    status      text not null constraint orders_status_known
        check (status in ('placed', 'paid', 'shipped', 'completed', 'cancelled')),
    placed_at   timestamptz not null default now(),
    unique (source, external_id)
);
create index orders_by_time on orders (placed_at);
create index orders_by_user on orders (user_id, placed_at);

create table order_lines (
    order_id          uuid not null references orders,
    line_no           integer not null constraint order_lines_line_no_from_one check (line_no > 0),
    product_id        uuid not null references products,
    quantity          bigint not null constraint order_lines_quantity_positive check (quantity > 0),
    list_total_minor  bigint not null,
    shelf_total_minor bigint not null,
    paid_total_minor  bigint not null,
    primary key (order_id, line_no),
    constraint order_lines_totals_not_negative
        check (list_total_minor >= 0 and shelf_total_minor >= 0 and paid_total_minor >= 0)
);

create table order_status_history (
    order_id uuid not null references orders,
    at       timestamptz not null default now(),
    status   text not null constraint order_status_history_status_known
        check (status in ('placed', 'paid', 'shipped', 'completed', 'cancelled')),
    actor    text not null,
    primary key (order_id, at, status)
);
create index order_status_history_by_time on order_status_history (at);
"""

PROMOTIONS = """
create table promotions (
    product_id uuid not null references products,
    kind       text not null constraint promotions_kind_known check (kind in ('display', 'mailer')),
    place      text not null,
    channels   text[] not null,
    starts_on  date not null,
    ends_on    date not null,
    source     text not null,
    primary key (product_id, kind, place, starts_on),
    constraint promotions_period_not_empty check (starts_on < ends_on)
);
create index promotions_by_start on promotions (starts_on);

create table campaigns (
    campaign_id uuid primary key default uuidv7(),
    source      text not null default 'shop',
    external_id text not null,
    kind        text not null,
    starts_on   date not null,
    ends_on     date not null,
    unique (source, external_id),
    constraint campaigns_period_in_order check (starts_on <= ends_on)
);

create table campaign_users (
    campaign_id uuid not null references campaigns,
    user_id     uuid not null references users,
    primary key (campaign_id, user_id)
);

create table coupons (
    coupon_id   uuid primary key default uuidv7(),
    campaign_id uuid not null references campaigns,
    external_id text not null,
    unique (campaign_id, external_id)
);

create table coupon_products (
    coupon_id  uuid not null references coupons,
    product_id uuid not null references products,
    primary key (coupon_id, product_id)
);

create table coupon_redemptions (
    coupon_id   uuid not null references coupons,
    user_id     uuid not null references users,
    redeemed_on date not null,
    primary key (coupon_id, user_id, redeemed_on)
);
"""

CLICKS = """
create table clicks (
    day         date not null,
    event_id    uuid not null,
    user_id     uuid,
    session_id  text,
    product_id  uuid not null,
    kind        text not null constraint clicks_kind_known
        check (kind in ('view', 'click', 'add_to_cart', 'remove_from_cart', 'wishlist')),
    ts          timestamptz not null,
    received_at timestamptz not null default now(),
    request_id  text,
    derived     boolean not null default false,
    primary key (day, event_id),
    constraint clicks_day_is_received_day check (day = (received_at at time zone 'UTC')::date)
) partition by range (day);

create table clicks_default partition of clicks default;

create table event_inbox (
    event_id uuid primary key,
    day      date not null
);

create table loads (
    source    text not null,
    digest    text not null,
    loaded_at timestamptz not null default now(),
    rows      jsonb not null,
    primary key (source, digest)
);
"""

# Rows that had already fallen into the default partition move into the new one before it is attached. Writers wait
# meanwhile, or a row on its way to the default partition would be refused there; readers go on. Nobody waits for long:
# when a reader holds the default partition the call gives up, and is to be made again. One caller at a time.
CLICK_PARTITIONS = """
create function ensure_click_partitions(first_day date, until date) returns integer language plpgsql
set lock_timeout = '5s' as $$
declare
    made integer := 0;
    day_of date;
    partition text;
begin
    perform pg_advisory_xact_lock(hashtextextended('ensure_click_partitions', 0));
    for day_of in select d::date from generate_series(first_day, until - 1, interval '1 day') d loop
        partition := 'clicks_' || to_char(day_of, 'YYYYMMDD');
        continue when to_regclass(partition) is not null;
        lock table only clicks in share row exclusive mode;
        lock table clicks_default in access exclusive mode;
        execute format('create table %I (like clicks including defaults including constraints including indexes)',
                       partition);
        execute format('with moved as (delete from clicks_default where day = %L returning *)
                        insert into %I select * from moved', day_of, partition);
        execute format('alter table clicks attach partition %I for values from (%L) to (%L)',
                       partition, day_of, day_of + 1);
        made := made + 1;
    end loop;
    return made;
end $$;
"""

APPEND_ONLY = """
create function refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% is append-only: % refused', tg_table_name, tg_op using errcode = 'restrict_violation';
end $$;
"""

APPEND_ONLY_TABLES = ("product_versions", "price_history", "order_status_history")


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for script in (CATALOG, USERS_AND_ORDERS, PROMOTIONS, CLICKS):
        for statement in script.split(";\n"):
            if statement.strip():
                run(statement)
    run(CLICK_PARTITIONS)
    run(APPEND_ONLY)
    for table in APPEND_ONLY_TABLES:
        run(
            f"create trigger {table}_append_only before update or delete or truncate on {table}"
            " for each statement execute function refuse_change()"
        )
