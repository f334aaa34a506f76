"""Stock: levels per location, the movements that alone change them, holds that run out; keys of requests done once."""

from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = """
create table locations (
    location_id uuid primary key default uuidv7(),
    code        text not null unique,
    name        text not null
);

create table stock_levels (
    product_id      uuid not null references products,
    location_id     uuid not null references locations,
    on_hand_units   bigint not null default 0,
    allocated_units bigint not null default 0,
    held_units      bigint not null default 0,
    low_units       bigint not null default 0,
    primary key (product_id, location_id),
    constraint stock_levels_not_negative check (allocated_units >= 0 and held_units >= 0 and low_units >= 0),
    constraint stock_levels_not_oversold check (allocated_units + held_units <= on_hand_units)
);

create table stock_movements (
    movement_id     uuid primary key default uuidv7(),
    product_id      uuid not null,
    location_id     uuid not null,
    kind            text not null,
    on_hand_delta   bigint not null default 0,
    allocated_delta bigint not null default 0,
    reason          text not null,
    actor           text not null,
    at              timestamptz not null default now(),
    foreign key (product_id, location_id) references stock_levels,
    constraint stock_movements_move_what_they_say check (
        case kind
            when 'received'    then on_hand_delta > 0 and allocated_delta = 0
            when 'adjusted'    then on_hand_delta <> 0 and allocated_delta = 0
            when 'counted'     then allocated_delta = 0
            when 'transferred' then on_hand_delta <> 0 and allocated_delta = 0
            when 'allocated'   then on_hand_delta = 0 and allocated_delta > 0
            when 'released'    then on_hand_delta = 0 and allocated_delta < 0
            when 'shipped'     then on_hand_delta < 0 and allocated_delta = on_hand_delta
            when 'returned'    then on_hand_delta > 0 and allocated_delta = 0
            else false
        end
    )
);
create index stock_movements_by_product on stock_movements (product_id, location_id, movement_id);

create table stock_holds (
    hold_id     uuid primary key default uuidv7(),
    owner_id    uuid not null,
    product_id  uuid not null,
    location_id uuid not null,
    units       bigint not null constraint stock_holds_hold_something check (units > 0),
    expires_at  timestamptz not null,
    pinned      boolean not null default false,
    foreign key (product_id, location_id) references stock_levels,
    unique (owner_id, product_id, location_id)
);
create index stock_holds_by_end on stock_holds (expires_at) where not pinned;
create index stock_holds_by_product on stock_holds (product_id, location_id);

create table idempotency_keys (
    principal   text not null,
    key         text not null,
    fingerprint bytea not null,
    status      bigint not null,
    body        text not null,
    at          timestamptz not null default now(),
    primary key (principal, key)
);
create index idempotency_keys_by_time on idempotency_keys using brin (at);
"""

# A level is what its movements and holds add up to, and nobody writes it but they: the update comes from a trigger.
FUNCTIONS = (
    """
    create function move_stock() returns trigger language plpgsql as $$
    begin
        update stock_levels
        set on_hand_units = on_hand_units + new.on_hand_delta,
            allocated_units = allocated_units + new.allocated_delta
        where product_id = new.product_id and location_id = new.location_id;
        return null;
    end $$
    """,
    """
    create function hold_stock() returns trigger language plpgsql as $$
    begin
        if tg_op in ('UPDATE', 'DELETE') then
            update stock_levels set held_units = held_units - old.units
            where product_id = old.product_id and location_id = old.location_id;
        end if;
        if tg_op in ('INSERT', 'UPDATE') then
            update stock_levels set held_units = held_units + new.units
            where product_id = new.product_id and location_id = new.location_id;
        end if;
        return null;
    end $$
    """,
    """
    create function refuse_to_set_stock() returns trigger language plpgsql as $$
    begin
        if pg_trigger_depth() = 1 then
            raise exception 'stock is changed by movements and holds alone' using errcode = 'restrict_violation';
        end if;
        return new;
    end $$
    """,
)

TRIGGERS = (
    "create trigger stock_movements_move after insert on stock_movements for each row execute function move_stock()",
    "create trigger stock_movements_append_only before update or delete or truncate on stock_movements"
    " for each statement execute function refuse_change()",
    "create trigger stock_holds_hold after insert or delete or update of units, product_id, location_id on stock_holds"
    " for each row execute function hold_stock()",
    "create trigger stock_levels_moved before update of on_hand_units, allocated_units, held_units on stock_levels"
    " for each row execute function refuse_to_set_stock()",
    "create trigger stock_levels_begin_empty before insert on stock_levels for each row"
    " when (new.on_hand_units <> 0 or new.allocated_units <> 0 or new.held_units <> 0)"
    " execute function refuse_to_set_stock()",
)


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for statement in TABLES.split(";\n"):
        if statement.strip():
            run(statement)
    for statement in (*FUNCTIONS, *TRIGGERS):
        run(statement)
