"""The audit trail: chained entries, and the ends of the chains."""

from alembic import op

revision = "0007"
down_revision = "0006"

STATEMENTS = (
    """
    create table audit_heads (
        lane integer primary key,
        seq  bigint not null,
        hash bytea not null
    )
    """,
    """
    create table audit_entries (
        lane          integer not null,
        seq           bigint not null,
        entry_id      uuid not null default uuidv7() unique,
        at            timestamptz not null,
        actor         text not null,
        action        text not null,
        object        text not null,
        before        jsonb,
        after         jsonb,
        request_id    text not null,
        previous_hash bytea not null,
        hash          bytea not null,
        primary key (lane, seq)
    )
    """,
    "create index audit_entries_by_object on audit_entries (object, entry_id)",
    "insert into audit_heads (lane, seq, hash) select lane, 0, decode(repeat('00', 32), 'hex')"
    " from generate_series(0, 15) lane",
    "create trigger audit_entries_append_only before update or delete or truncate on audit_entries"
    " for each statement execute function refuse_change()",
    "create trigger audit_heads_stay before insert or delete or truncate on audit_heads"
    " for each statement execute function refuse_change()",
    """
    create function refuse_other_head() returns trigger language plpgsql as $$
    begin
        if not exists (select from audit_entries where (lane, seq, hash) = (new.lane, new.seq, new.hash))
            or (new.lane, new.seq) <> (old.lane, old.seq + 1) then
            raise exception 'the end of an audit chain moves by one entry' using errcode = 'restrict_violation';
        end if;
        return new;
    end $$
    """,
    "create trigger audit_heads_move before update on audit_heads for each row execute function refuse_other_head()",
)


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for statement in STATEMENTS:
        run(statement)
