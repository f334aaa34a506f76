"""The outbox, and an index by which old days leave the inbox."""

from alembic import op

revision = "0002"
down_revision = "0001"

# Rows live for milliseconds, so the table is mostly dead ones: vacuum by their number, not by a share of the living.
OUTBOX = """
create table outbox (
    outbox_id bigint generated always as identity primary key,
    topic     text not null,
    payload   jsonb not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
"""

# Days arrive in order, so a few bytes per block find the old ones.
INBOX_BY_DAY = "create index event_inbox_by_day on event_inbox using brin (day);"


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    run(OUTBOX)
    run(INBOX_BY_DAY)
