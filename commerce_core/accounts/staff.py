"""From a terminal, for whoever may reach the database: who works here, and what would be in somebody's mail."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert as insert_unless
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.accounts import mails, sessions
from commerce_core.accounts.models import Account, AccountMail, UserRole
from commerce_core.accounts.schemas import Mail
from commerce_core.db import create_engine

Made = TypeVar("Made")

ROLES = ("support", "merchandiser", "analyst", "operator")


class NoSuchAccount(Exception):
    """Nobody has an account with this e-mail."""


async def grant(session: AsyncSession, email: str, role: str) -> frozenset[str]:
    """Give a role; the roles afterwards. It is in the next access token."""
    user_id = await _holder(session, email)
    await session.execute(insert_unless(UserRole).values(user_id=user_id, role=role).on_conflict_do_nothing())
    return await sessions.roles(session, user_id)


async def revoke(session: AsyncSession, email: str, role: str) -> frozenset[str]:
    """Take a role; the roles afterwards. Access tokens that were given before say it for minutes more."""
    user_id = await _holder(session, email)
    await session.execute(delete(UserRole).where(UserRole.user_id == user_id, UserRole.role == role))
    return await sessions.roles(session, user_id)


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
