"""Accounts: passwords, other issuers' identities, roles, sessions, mails, limits and addresses."""

from alembic import op

revision = "0004"
down_revision = "0003"

TABLES = """
create table accounts (
    user_id    uuid primary key references users,
    email      text,
    name       text,
    created_at timestamptz not null default now()
);
create unique index accounts_by_email on accounts (lower(email));

create table credentials (
    user_id       uuid primary key references accounts,
    password_hash text not null,
    changed_at    timestamptz not null default now()
);

create table identities (
    issuer    text not null,
    subject   text not null,
    user_id   uuid not null references accounts,
    linked_at timestamptz not null default now(),
    primary key (issuer, subject)
);
create index identities_by_user on identities (user_id);

create table user_roles (
    user_id  uuid not null references accounts,
    role     text not null constraint user_roles_role_known
        check (role in ('support', 'merchandiser', 'analyst', 'operator')),
    given_at timestamptz not null default now(),
    primary key (user_id, role)
);

create table refresh_families (
    family_id  uuid primary key default uuidv7(),
    user_id    uuid not null references accounts,
    begun_at   timestamptz not null default now(),
    expires_at timestamptz not null,
    ended_at   timestamptz,
    ended_by   text
);
create index refresh_families_by_user on refresh_families (user_id);
create index refresh_families_by_end on refresh_families (expires_at);

create table refresh_tokens (
    token_hash bytea primary key,
    family_id  uuid not null references refresh_families on delete cascade,
    expires_at timestamptz not null,
    used_at    timestamptz
);
create index refresh_tokens_by_family on refresh_tokens (family_id);
create index refresh_tokens_by_end on refresh_tokens (expires_at);

create table account_mails (
    mail_id    uuid primary key default uuidv7(),
    kind       text not null constraint account_mails_kind_known check (kind in ('register', 'reset')),
    email      text not null,
    token_hash bytea,
    expires_at timestamptz not null
);
create unique index account_mails_by_token on account_mails (token_hash);
create index account_mails_by_mailbox on account_mails (lower(email));
create index account_mails_by_end on account_mails (expires_at);

create table auth_throttle (
    key   bytea primary key,
    until timestamptz not null
) with (fillfactor = 50);

create table addresses (
    address_id  uuid primary key default uuidv7(),
    user_id     uuid not null references accounts,
    name        text not null,
    line1       text not null,
    line2       text,
    city        text not null,
    region      text,
    postal_code text,
    country     text not null constraint addresses_country_is_a_code check (country ~ '^[A-Z]{2}$'),
    phone       text
);
create index addresses_by_user on addresses (user_id, address_id);
"""


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for statement in TABLES.split(";\n"):
        if statement.strip():
            run(statement)
