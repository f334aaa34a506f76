"""Invoices and credit notes, numbered without a gap; what is due is written by triggers."""

from alembic import op

revision = "0006"
down_revision = "0005"

TABLES = """
create table invoice_counters (
    seller_tax_id text not null,
    series        text not null constraint invoice_counters_series_known check (series in ('invoice', 'credit_note')),
    year          integer not null,
    last          bigint not null default 0,
    last_at       timestamptz,
    primary key (seller_tax_id, series, year)
);

create table invoices_due (
    due_id     bigint generated always as identity primary key,
    series     text not null constraint invoices_due_series_known check (series in ('invoice', 'credit_note')),
    subject_id uuid not null,
    order_id   uuid not null references orders,
    unique (series, subject_id)
);
create index invoices_due_by_order on invoices_due (order_id);

create table invoices (
    order_id         uuid primary key references orders,
    seller_tax_id    text not null,
    year             integer not null,
    seq              bigint not null,
    number           text not null,
    issued_at        timestamptz not null,
    ordered_at       timestamptz not null,
    currency         char(3) not null,
    goods_minor      bigint not null,
    shipping_minor   bigint not null,
    tax_minor        bigint not null,
    total_minor      bigint not null,
    seller           jsonb not null,
    buyer            jsonb not null,
    shipping_address jsonb not null,
    shipping_method  text not null,
    unique (seller_tax_id, year, seq),
    constraint invoices_add_up check (
        goods_minor >= 0 and shipping_minor >= 0 and tax_minor >= 0
        and goods_minor + shipping_minor + tax_minor = total_minor
    )
);

create table invoice_lines (
    order_id    uuid not null references invoices,
    line_no     integer not null,
    product_id  uuid references products,
    description text not null,
    quantity    bigint not null,
    net_minor   bigint not null,
    tax_minor   bigint not null,
    primary key (order_id, line_no),
    constraint invoice_lines_not_negative check (quantity > 0 and net_minor >= 0 and tax_minor >= 0)
);

create table credit_notes (
    refund_id      uuid primary key references refunds,
    order_id       uuid not null references invoices,
    seller_tax_id  text not null,
    year           integer not null,
    seq            bigint not null,
    number         text not null,
    issued_at      timestamptz not null,
    goods_minor    bigint not null,
    shipping_minor bigint not null,
    tax_minor      bigint not null,
    total_minor    bigint not null,
    reason         text not null,
    seller         jsonb not null,
    unique (seller_tax_id, year, seq),
    constraint credit_notes_add_up check (
        goods_minor >= 0 and shipping_minor >= 0 and tax_minor >= 0 and total_minor > 0
        and goods_minor + shipping_minor + tax_minor = total_minor
    )
);
create index credit_notes_by_order on credit_notes (order_id);
"""

# Behind the code: a number follows the one before it, an invoice is its lines, and no more is taken back than billed.
FUNCTIONS = (
    """
    create function refuse_number_gap() returns trigger language plpgsql as $$
    declare
        follows boolean;
    begin
        execute format('select $3 = 1 or exists (select from %I where (seller_tax_id, year, seq) = ($1, $2, $3 - 1)'
                       ' and issued_at <= $4)', tg_table_name)
            into follows using new.seller_tax_id, new.year, new.seq, new.issued_at;
        if not follows then
            raise exception '% does not follow the number before it', new.number using errcode = 'check_violation';
        end if;
        return new;
    end $$
    """,
    """
    create function refuse_wrong_invoice() returns trigger language plpgsql as $$
    begin
        if not exists (
            select from invoices i
            where i.order_id = new.order_id and (i.goods_minor, i.shipping_minor, i.tax_minor) = (
                select coalesce(sum(net_minor) filter (where product_id is not null), 0),
                       coalesce(sum(net_minor) filter (where product_id is null), 0),
                       coalesce(sum(tax_minor), 0)
                from invoice_lines l where l.order_id = new.order_id)
        ) then
            raise exception 'the invoice of order % is not its lines', new.order_id using errcode = 'check_violation';
        end if;
        return null;
    end $$
    """,
    """
    create function refuse_too_much_credit() returns trigger language plpgsql as $$
    begin
        perform pg_advisory_xact_lock(hashtextextended(new.order_id::text, 3));
        if exists (
            select from invoices i
            where i.order_id = new.order_id and (
                select sum(goods_minor) > i.goods_minor or sum(shipping_minor) > i.shipping_minor
                       or sum(tax_minor) > i.tax_minor
                from credit_notes c where c.order_id = new.order_id)
        ) then
            raise exception 'more than the invoice of order % is credited', new.order_id
                using errcode = 'check_violation';
        end if;
        return null;
    end $$
    """,
    """
    create function invoice_is_due() returns trigger language plpgsql as $$
    begin
        insert into invoices_due (series, subject_id, order_id)
        select 'invoice', order_id, order_id from order_checkouts where order_id = new.order_id
        on conflict do nothing;
        return null;
    end $$
    """,
    """
    create function credit_note_is_due() returns trigger language plpgsql as $$
    begin
        insert into invoices_due (series, subject_id, order_id)
        select 'credit_note', new.refund_id, order_id from payments
        where payment_id = new.payment_id and status = 'succeeded'
        on conflict do nothing;
        return null;
    end $$
    """,
)

TRIGGERS = (
    "create trigger invoices_follow before insert on invoices for each row execute function refuse_number_gap()",
    "create trigger credit_notes_follow before insert on credit_notes"
    " for each row execute function refuse_number_gap()",
    "create constraint trigger invoices_are_their_lines after insert on invoices deferrable initially deferred"
    " for each row execute function refuse_wrong_invoice()",
    "create constraint trigger invoice_lines_are_the_invoice after insert on invoice_lines"
    " deferrable initially deferred for each row execute function refuse_wrong_invoice()",
    "create trigger credit_notes_within after insert on credit_notes"
    " for each row execute function refuse_too_much_credit()",
    "create trigger orders_are_paid after update of status on orders for each row"
    " when (new.status = 'paid' and old.status <> 'paid') execute function invoice_is_due()",
    "create trigger refunds_succeed after update of status on refunds for each row"
    " when (new.status = 'succeeded' and old.status <> 'succeeded') execute function credit_note_is_due()",
)

# What was paid and given back before there were invoices.
SO_FAR = (
    "insert into invoices_due (series, subject_id, order_id)"
    " select 'invoice', order_id, order_id from order_status_history join order_checkouts using (order_id)"
    " where status = 'paid' order by at, order_id",
    "insert into invoices_due (series, subject_id, order_id)"
    " select 'credit_note', refund_id, order_id from refunds r join payments p using (payment_id)"
    " where r.status = 'succeeded' and p.status = 'succeeded' order by refund_id",
)


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for statement in TABLES.split(";\n"):
        if statement.strip():
            run(statement)
    for statement in (*FUNCTIONS, *TRIGGERS, *SO_FAR):
        run(statement)
    for table in ("invoices", "invoice_lines", "credit_notes"):
        run(
            f"create trigger {table}_append_only before update or delete or truncate on {table}"
            " for each statement execute function refuse_change()"
        )
