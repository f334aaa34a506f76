"""Price books and what was published of them; costs, advertised minimums and competitors' prices."""

from alembic import op

revision = "0009"
down_revision = "0008"

TABLES = """
create table price_books (
    book_id     bigint generated always as identity primary key,
    digest      text not null unique,
    policy      text not null,
    day         date not null,
    state       text not null default 'proposed' constraint price_books_state_known check (state in
        ('proposed', 'simulated', 'guarded', 'approved', 'rejected', 'canary', 'live', 'superseded', 'rolled_back')),
    proposed_by text not null,
    proposed_at timestamptz not null default now()
);
create index price_books_by_state on price_books (state, book_id);

create table price_book_lines (
    book_id          bigint not null references price_books,
    product_id       uuid not null references products,
    currency         char(3) not null,
    from_minor       bigint not null,
    list_price_minor bigint not null,
    price_minor      bigint not null,
    low_minor        bigint not null,
    high_minor       bigint not null,
    reasons          text[] not null,
    binding          text,
    effect_low       double precision,
    effect_high      double precision,
    weekly_units     double precision,
    gain_low_minor   double precision,
    gain_high_minor  double precision,
    family           text,
    cluster          text,
    primary key (book_id, product_id),
    constraint price_book_lines_within_bounds
        check (price_minor > 0 and price_minor between low_minor and high_minor),
    constraint price_book_lines_move check (from_minor > 0 and price_minor <> from_minor)
);
create index price_book_lines_by_product on price_book_lines (product_id, book_id);

create table price_book_refusals (
    book_id    bigint not null,
    product_id uuid not null,
    reason     text not null,
    primary key (book_id, product_id),
    foreign key (book_id, product_id) references price_book_lines
);

create table price_book_events (
    event_id uuid primary key default uuidv7(),
    book_id  bigint not null references price_books,
    at       timestamptz not null default clock_timestamp(),
    step     text not null,
    state    text not null,
    actor    text not null,
    details  jsonb not null
);
create index price_book_events_by_book on price_book_events (book_id, event_id);

create table price_versions (
    version      bigint primary key constraint price_versions_from_one check (version > 0),
    book_id      bigint references price_books,
    kind         text not null constraint price_versions_kind_known
        check (kind in ('canary', 'published', 'rolled_back')),
    restores     bigint,
    published_at timestamptz not null,
    actor        text not null,
    constraint price_versions_of_a_book check ((kind = 'rolled_back') = (book_id is null)),
    constraint price_versions_restore check ((kind = 'rolled_back') = (restores is not null))
);
create index price_versions_by_book on price_versions (book_id, version);

create table price_version_lines (
    version     bigint not null references price_versions,
    product_id  uuid not null references products,
    currency    char(3) not null,
    from_minor  bigint not null,
    price_minor bigint not null constraint price_version_lines_price_positive check (price_minor > 0),
    skipped     text,
    primary key (version, product_id)
);
create index price_version_lines_by_product on price_version_lines (product_id, version);

create table price_version_entries (
    version             bigint not null,
    product_id          uuid not null,
    currency            char(3) not null,
    list_price_minor    bigint not null,
    price_minor         bigint not null constraint price_version_entries_price_positive check (price_minor > 0),
    prior_30d_low_minor bigint,
    reasons             text[] not null,
    binding             text,
    valid_from          timestamptz not null,
    primary key (version, product_id)
);

alter table price_history add column version bigint references price_versions;

create table product_costs (
    product_id uuid not null references products,
    valid_from timestamptz not null,
    cost_minor bigint not null constraint product_costs_not_negative check (cost_minor >= 0),
    currency   char(3) not null,
    source     text not null,
    known_at   timestamptz not null default now(),
    primary key (product_id, currency, valid_from)
);
create index product_costs_by_time on product_costs (known_at);

create table advertised_minimums (
    product_id    uuid not null references products,
    valid_from    timestamptz not null,
    minimum_minor bigint not null constraint advertised_minimums_not_negative check (minimum_minor >= 0),
    currency      char(3) not null,
    source        text not null,
    known_at      timestamptz not null default now(),
    primary key (product_id, currency, valid_from)
);

create table competitor_prices (
    product_id    uuid not null references products,
    competitor    text not null,
    seen_at       timestamptz not null,
    price_minor   bigint not null constraint competitor_prices_positive check (price_minor > 0),
    currency      char(3) not null,
    match_quality double precision not null
        constraint competitor_prices_quality_is_a_share check (match_quality between 0 and 1),
    source        text not null,
    known_at      timestamptz not null default now(),
    primary key (product_id, competitor, seen_at)
);
create index competitor_prices_by_time on competitor_prices (known_at);
"""

APPEND_ONLY_TABLES = (
    "price_book_lines",
    "price_book_refusals",
    "price_book_events",
    "price_versions",
    "price_version_lines",
    "price_version_entries",
    "product_costs",
    "advertised_minimums",
    "competitor_prices",
)


def upgrade() -> None:
    run = op.get_bind().exec_driver_sql
    for statement in TABLES.split(";\n"):
        if statement.strip():
            run(statement)
    for table in APPEND_ONLY_TABLES:
        run(
            f"create trigger {table}_append_only before update or delete or truncate on {table}"
            " for each statement execute function refuse_change()"
        )
