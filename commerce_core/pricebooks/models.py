"""Price books: what was proposed, what became of it, and every version of the prices that was published.

A book is a proposal and has states; a version is what stood after a publication and never changes. All but a book's
state is append-only.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CHAR, CheckConstraint, Double, ForeignKey, ForeignKeyConstraint, Identity, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table

CANARY, PUBLISHED, ROLLED_BACK = "canary", "published", "rolled_back"  # kinds of versions


class PriceBook(Table):
    """Prices that somebody proposes for some products; the same content is the same book."""

    __tablename__ = "price_books"
    __table_args__ = (
        CheckConstraint(
            "state in ('proposed', 'simulated', 'guarded', 'approved', 'rejected', 'canary', 'live', 'superseded',"
            " 'rolled_back')",
            name="price_books_state_known",
        ),
        Index("price_books_by_state", "state", "book_id"),
    )

    book_id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    digest: Mapped[str] = mapped_column(unique=True)
    policy: Mapped[str]
    day: Mapped[date]
    state: Mapped[str] = mapped_column(server_default="proposed")
    proposed_by: Mapped[str]
    proposed_at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class PriceBookLine(Table):
    """A product's move: from the price in force to another, decided within bounds, with its reasons.

    `effect_*` is the interval of the price effect (log units per log price), `gain_*` the expected change of a week's
    margin at its two ends. Products of a family have one price; a cluster is what shoppers choose between.
    """

    __tablename__ = "price_book_lines"
    __table_args__ = (
        CheckConstraint(
            "price_minor > 0 and price_minor between low_minor and high_minor", name="price_book_lines_within_bounds"
        ),
        CheckConstraint("from_minor > 0 and price_minor <> from_minor", name="price_book_lines_move"),
        Index("price_book_lines_by_product", "product_id", "book_id"),
    )

    book_id: Mapped[int] = mapped_column(ForeignKey("price_books.book_id"), primary_key=True, autoincrement=False)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    currency: Mapped[str] = mapped_column(CHAR(3))
    from_minor: Mapped[int]
    list_price_minor: Mapped[int]
    price_minor: Mapped[int]
    low_minor: Mapped[int]
    high_minor: Mapped[int]
    reasons: Mapped[list[str]]
    binding: Mapped[str | None]
    effect_low: Mapped[float | None] = mapped_column(Double)
    effect_high: Mapped[float | None] = mapped_column(Double)
    weekly_units: Mapped[float | None] = mapped_column(Double)
    gain_low_minor: Mapped[float | None] = mapped_column(Double)
    gain_high_minor: Mapped[float | None] = mapped_column(Double)
    family: Mapped[str | None]
    cluster: Mapped[str | None]


class PriceBookRefusal(Table):
    """A line that the guards struck from its book."""

    __tablename__ = "price_book_refusals"
    __table_args__ = (
        ForeignKeyConstraint(["book_id", "product_id"], ["price_book_lines.book_id", "price_book_lines.product_id"]),
    )

    book_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    product_id: Mapped[UUID] = mapped_column(primary_key=True)
    reason: Mapped[str]


class PriceBookEvent(Table):
    """A step that a book went, by whom, and where it stood then."""

    __tablename__ = "price_book_events"
    __table_args__ = (Index("price_book_events_by_book", "book_id", "event_id"),)

    event_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    book_id: Mapped[int] = mapped_column(ForeignKey("price_books.book_id"))
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    step: Mapped[str]
    state: Mapped[str]
    actor: Mapped[str]
    details: Mapped[dict[str, Any]]


class PriceSwitch(Table):
    """Somebody stopped new prices, or let them go on; the newest row holds."""

    __tablename__ = "price_switches"

    turn: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))
    stopped: Mapped[bool]
    reason: Mapped[str]
    actor: Mapped[str]


class PriceVersion(Table):
    """A publication: of a canary share of a book, of a whole one, or of earlier prices. The highest one is live."""

    __tablename__ = "price_versions"
    __table_args__ = (
        CheckConstraint("version > 0", name="price_versions_from_one"),
        CheckConstraint(f"kind in ('{CANARY}', '{PUBLISHED}', '{ROLLED_BACK}')", name="price_versions_kind_known"),
        CheckConstraint(f"(kind = '{ROLLED_BACK}') = (book_id is null)", name="price_versions_of_a_book"),
        CheckConstraint(f"(kind = '{ROLLED_BACK}') = (restores is not null)", name="price_versions_restore"),
        Index("price_versions_by_book", "book_id", "version"),
    )

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    book_id: Mapped[int | None] = mapped_column(ForeignKey("price_books.book_id"))
    kind: Mapped[str]
    restores: Mapped[int | None]  # 0: as before the first version
    published_at: Mapped[datetime]
    actor: Mapped[str]


class PriceVersionLine(Table):
    """A product whose price a publication changed, or was to change and did not: `skipped` says why."""

    __tablename__ = "price_version_lines"
    __table_args__ = (
        CheckConstraint("price_minor > 0", name="price_version_lines_price_positive"),
        Index("price_version_lines_by_product", "product_id", "version"),
    )

    version: Mapped[int] = mapped_column(ForeignKey("price_versions.version"), primary_key=True, autoincrement=False)
    product_id: Mapped[UUID] = mapped_column(ForeignKey("products.product_id"), primary_key=True)
    currency: Mapped[str] = mapped_column(CHAR(3))
    from_minor: Mapped[int]
    price_minor: Mapped[int]
    skipped: Mapped[str | None]


class PriceVersionEntry(Table):
    """What an active product cost in a version: all of them are there, changed or not.

    Made by one statement of the tables that its ids are of; keys would cost a third more time.
    """

    __tablename__ = "price_version_entries"
    __table_args__ = (CheckConstraint("price_minor > 0", name="price_version_entries_price_positive"),)

    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    product_id: Mapped[UUID] = mapped_column(primary_key=True)
    currency: Mapped[str] = mapped_column(CHAR(3))
    list_price_minor: Mapped[int]
    price_minor: Mapped[int]
    prior_30d_low_minor: Mapped[int | None]
    reasons: Mapped[list[str]]
    binding: Mapped[str | None]
    valid_from: Mapped[datetime]
