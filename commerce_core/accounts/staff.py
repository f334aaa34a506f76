"""From a terminal, for whoever may reach the database: who works here, and what would be in somebody's mail."""

import asyncio
import getpass
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID, uuid4

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import UpdateBase

from commerce_core.accounts import mails, sessions
from commerce_core.accounts.models import Account, AccountMail, UserRole
from commerce_core.accounts.schemas import Mail, Roles
from commerce_core.audit.service import Auditor
from commerce_core.db import create_engine

Made = TypeVar("Made")

ROLES = ("support", "merchandiser", "analyst", "operator")


class NoSuchAccount(Exception):
    """Nobody has an account with this e-mail."""


async def grant(session: AsyncSession, email: str, role: str) -> frozenset[str]:
    """Give a role; the roles afterwards. It is in the next access token."""
    user_id = await _holder(session, email)
    given = insert_unless(UserRole).values(user_id=user_id, role=role).on_conflict_do_nothing()
    return await _changed(session, user_id, "users grant", given)


async def revoke(session: AsyncSession, email: str, role: str) -> frozenset[str]:
    """Take a role; the roles afterwards. Access tokens that were given before say it for minutes more."""
    user_id = await _holder(session, email)
    taken = delete(UserRole).where(UserRole.user_id == user_id, UserRole.role == role)
    return await _changed(session, user_id, "users grant --revoke", taken)


async def _changed(session: AsyncSession, user_id: UUID, command: str, change: UpdateBase) -> frozenset[str]:
    """Somebody's roles after a change of them, which is written down."""
    await session.execute(select(Account.user_id).where(Account.user_id == user_id).with_for_update())
    before = await sessions.roles(session, user_id)
    await session.execute(change)
    after = await sessions.roles(session, user_id)
    was, now = (Roles(roles=sorted(roles)) for roles in (before, after))
    await Auditor(f"terminal:{_who()}", command, str(uuid4())).wrote(session, f"user:{user_id}", was, now)
    return after


def _who() -> str:
    """The account at this machine; its number where it has no name."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


async def _holder(session: AsyncSession, email: str) -> UUID:
    found = select(Account.user_id).where(func.lower(Account.email) == func.lower(email.strip()))
    user_id = (await session.scalars(found)).one_or_none()
    if user_id is None:
        raise NoSuchAccount(f"nobody has an account with the e-mail {email}")
    return user_id


async def mail(session: AsyncSession, email: str) -> Mail:
    """What would be sent for the newest mail that was asked for; ShopError 404 when that is nothing."""
    due = select(AccountMail.mail_id).where(func.lower(AccountMail.email) == func.lower(email.strip()))
    mail_id = (await session.scalars(due.order_by(AccountMail.mail_id.desc()).limit(1))).one_or_none()
    if mail_id is None:
        raise NoSuchAccount(f"no mail to {email} is due")
    return await mails.write(session, mail_id)


def once(database_url: str, work: Callable[[AsyncSession], Awaitable[Made]]) -> Made:
    """Do this in a transaction of its own, for the command line."""

    async def run() -> Made:
        engine = create_engine(database_url)
        try:
            async with AsyncSession(engine) as session, session.begin():
                return await work(session)
        finally:
            await engine.dispose()

    return asyncio.run(run())
