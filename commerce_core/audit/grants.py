"""A database role for the shop's processes, which can add to what is append-only and do nothing else to it.

Migrations run as the owner of the tables, who could switch triggers off; the shop need not be that. Which tables are
append-only is asked of the database: those whose trigger refuses changes.
"""

import re

_ROLE = re.compile(r"[a-z_][a-z0-9_]{0,62}")

_GRANTS = """
begin;
grant usage on schema public, sandbox to "{role}";
grant select, insert, update, delete on all tables in schema public, sandbox to "{role}";
grant usage on all sequences in schema public, sandbox to "{role}";
revoke insert, update, delete on alembic_version from "{role}";
do $$
declare
    its regclass;
begin
    for its in select tgrelid::regclass from pg_trigger where tgfoid = 'refuse_change'::regproc loop
        execute format('revoke update, delete on %s from "{role}"', its);
    end loop;
end $$;
-- The ends of the audit chains move, and are neither made nor removed.
revoke insert on audit_heads from "{role}";
grant update on audit_heads to "{role}";
-- Makes the partitions of the days to come, which only the owner of the table can.
alter function ensure_click_partitions(date, date) security definer set search_path = public, pg_temp;
commit;
"""


class BadRole(ValueError):
    """A name that no role should have."""


def statements(role: str) -> str:
    """What the owner of the tables runs once, and again after every migration, for a role that exists already."""
    if not _ROLE.fullmatch(role):
        raise BadRole(f"{role!r}: a role's name is of a to z, 0 to 9 and _")
    return _GRANTS.replace("{role}", role).lstrip()
