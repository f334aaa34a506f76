"""Who has an account, how they prove it, what they may do, and where they live.

Shoppers that were loaded from elsewhere are users without an account. Secrets stand here as hashes alone.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table

NOW = text("now()")


class Account(Table):
    """A shopper, or a member of staff, who can log in. Without an e-mail when their login provider vouches for none."""

    __tablename__ = "accounts"
    __table_args__ = (Index("accounts_by_email", text("lower(email)"), unique=True),)

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.user_id"), primary_key=True)
    email: Mapped[str | None]
    name: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Credential(Table):
    """What the account's password is compared with: an argon2id hash with its parameters."""

    __tablename__ = "credentials"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.user_id"), primary_key=True)
    password_hash: Mapped[str]
    changed_at: Mapped[datetime] = mapped_column(server_default=NOW)


class Identity(Table):
    """Somebody whom another issuer vouches for (OpenID Connect), and whose account that is."""

    __tablename__ = "identities"
    __table_args__ = (Index("identities_by_user", "user_id"),)

    issuer: Mapped[str] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.user_id"))
    linked_at: Mapped[datetime] = mapped_column(server_default=NOW)


class UserRole(Table):
    """What a member of staff may do beyond what every customer may."""

    __tablename__ = "user_roles"
    __table_args__ = (
        CheckConstraint("role in ('support', 'merchandiser', 'analyst', 'operator')", name="user_roles_role_known"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.user_id"), primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    given_at: Mapped[datetime] = mapped_column(server_default=NOW)


class RefreshFamily(Table):
    """A session: one login, and all refresh tokens that followed from it. It ends as a whole."""

    __tablename__ = "refresh_families"
    __table_args__ = (Index("refresh_families_by_user", "user_id"), Index("refresh_families_by_end", "expires_at"))

    family_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.user_id"))
    begun_at: Mapped[datetime] = mapped_column(server_default=NOW)
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]


class RefreshToken(Table):
    """A refresh token of a session; good once."""

    __tablename__ = "refresh_tokens"
    __table_args__ = (Index("refresh_tokens_by_family", "family_id"), Index("refresh_tokens_by_end", "expires_at"))

    token_hash: Mapped[bytes] = mapped_column(primary_key=True)
    family_id: Mapped[UUID] = mapped_column(ForeignKey("refresh_families.family_id", ondelete="CASCADE"))
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class AccountMail(Table):
    """A mail that somebody asked to have sent to a mailbox, and the hash of the token that is in it."""

    __tablename__ = "account_mails"
    __table_args__ = (
        CheckConstraint("kind in ('register', 'reset')", name="account_mails_kind_known"),
        Index("account_mails_by_token", "token_hash", unique=True),
        Index("account_mails_by_mailbox", text("lower(email)")),
        Index("account_mails_by_end", "expires_at"),
    )

    mail_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    kind: Mapped[str]
    email: Mapped[str]
    token_hash: Mapped[bytes | None]
    expires_at: Mapped[datetime]


class AuthThrottle(Table):
    """How much of a limit somebody has taken: all of it is earned again at `until`. The key is a hash of who it is."""

    __tablename__ = "auth_throttle"

    key: Mapped[bytes] = mapped_column(primary_key=True)
    until: Mapped[datetime]


class Address(Table):
    """Where a customer has things sent."""

    __tablename__ = "addresses"
    __table_args__ = (
        CheckConstraint("country ~ '^[A-Z]{2}$'", name="addresses_country_is_a_code"),
        Index("addresses_by_user", "user_id", "address_id"),
    )

    address_id: Mapped[UUID] = mapped_column(primary_key=True, server_default=text("uuidv7()"))
    user_id: Mapped[UUID] = mapped_column(ForeignKey("accounts.user_id"))
    name: Mapped[str]
    line1: Mapped[str]
    line2: Mapped[str | None]
    city: Mapped[str]
    region: Mapped[str | None]
    postal_code: Mapped[str | None]
    country: Mapped[str]
    phone: Mapped[str | None]
