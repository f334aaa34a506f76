"""The switch that stops new prices: who turned it, when and why."""

from alembic import op

revision = "0012"
down_revision = "0011"

SWITCHES = """
create table price_switches (
    turn    bigint generated always as identity primary key,
    at      timestamptz not null default clock_timestamp(),
    stopped boolean not null,
    reason  text not null,
    actor   text not null
)
"""
APPEND_ONLY = """
create trigger price_switches_append_only before update or delete or truncate on price_switches
for each statement execute function refuse_change()
"""


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for statement in (SWITCHES, APPEND_ONLY):
        run(statement)
