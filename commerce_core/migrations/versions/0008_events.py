"""Events that are known by an id and belong to somebody, their log, and what the shop's own consumers keep."""

from alembic import op

revision = "0008"
down_revision = "0007"

TABLES = """
alter table outbox add column event_id uuid not null default uuidv7(), add column aggregate text;

create table event_log (
    position  bigint generated always as identity primary key,
    event_id  uuid not null,
    topic     text not null,
    aggregate text not null,
    payload   jsonb not null,
    at        timestamptz not null default now()
);
create index event_log_by_topic on event_log (topic, position);
create index event_log_by_time on event_log using brin (at);
create trigger event_log_append_only before update or truncate on event_log
    for each statement execute function refuse_change();

create table consumers (
    consumer     text primary key,
    log_position bigint
);

create table consumer_inbox (
    consumer   text not null,
    event_id   uuid not null,
    number     bigint generated always as identity,
    topic      text not null,
    aggregate  text not null,
    payload    jsonb,
    state      text not null default 'waiting'
        constraint consumer_inbox_state_known check (state in ('waiting', 'done', 'dead', 'dropped')),
    attempts   bigint not null default 0,
    next_at    timestamptz not null default now(),
    error      text,
    handled_at timestamptz,
    primary key (consumer, event_id),
    constraint consumer_inbox_payload_while_needed check ((state in ('waiting', 'dead')) = (payload is not null))
);
create index consumer_inbox_open on consumer_inbox (consumer, topic, aggregate, number)
    where state in ('waiting', 'dead');
create index consumer_inbox_dead on consumer_inbox (number) where state = 'dead';
create index consumer_inbox_by_time on consumer_inbox using brin (handled_at);

create table product_sales (
    product_id       uuid not null,
    day              date not null,
    orders           bigint not null default 0,
    units            bigint not null default 0,
    cancelled_orders bigint not null default 0,
    cancelled_units  bigint not null default 0,
    primary key (product_id, day)
);
"""


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for statement in TABLES.split(";\n"):
        if statement.strip():
            run(statement)
