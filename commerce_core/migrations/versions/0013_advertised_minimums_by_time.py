"""Advertised minimums are found by when the shop was told: they are exported by the day."""

from alembic import op

revision = "0013"
down_revision = "0012"


def upgrade() -> None:
    op.get_bind().exec_driver_sql("create index advertised_minimums_by_time on advertised_minimums (known_at)")
