"""Mails with a token in them, that neither the bus nor the database ever holds.

Asking for one writes the same two rows for every mailbox: that a mail is due, and word of it in the outbox, which says
its id alone, neither to whom it goes nor with what. Whoever sends mails asks for the rest (`write`), and only then is
it looked up whose mailbox it is, and a token made of which the hash is kept. So there is nothing to see, nor to time,
for who asked; and what the bus, its consumers and their logs hold is worth nothing to anybody. Asked again, as after a
crash, `write` makes another token: the one in the newest mail is good.
"""

import secrets
from datetime import datetime, timedelta
from typing import Literal
from uuid import UUID

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.accounts.models import Account, AccountMail
from commerce_core.accounts.schemas import Mail
from commerce_core.accounts.sessions import digest, now
from commerce_core.errors import ShopError
from commerce_core.outbox.service import tell

TOPIC = "account_mails"
LASTS = timedelta(hours=1)

Kind = Literal["register", "reset"]


async def ask(session: AsyncSession, kind: Kind, email: str) -> None:
    """Have a mail sent to a mailbox, whoever's it is."""
    at = await now(session)
    due = insert(AccountMail).values(kind=kind, email=email, expires_at=at + LASTS).returning(AccountMail.mail_id)
    mail_id = str((await session.execute(due)).scalar_one())
    await tell(session, TOPIC, mail_id, {"mail_id": mail_id, "at": at.isoformat()})


async def write(session: AsyncSession, mail_id: UUID) -> Mail:
    """What is to be sent; ShopError 404 when that is nothing: it is too late, or a reset for who has no account."""
    mail = await session.get(AccountMail, mail_id, with_for_update=True)
    at = await now(session)
    if mail is None or mail.expires_at <= at:
        raise ShopError(404, "mail_not_due", f"no mail {mail_id} is due; send nothing")
    known = select(Account.user_id).where(func.lower(Account.email) == func.lower(mail.email))
    has_account = (await session.scalar(known)) is not None
    if mail.kind == "register" and has_account:
        return Mail(email=mail.email, template="known", token=None)
    if mail.kind == "reset" and not has_account:
        raise ShopError(404, "mail_not_due", "nobody has this mailbox; send nothing")
    token = secrets.token_urlsafe(32)
    mail.token_hash, mail.expires_at = digest(token), at + LASTS
    return Mail(email=mail.email, template="confirm" if mail.kind == "register" else "reset", token=token)


async def mailbox(session: AsyncSession, kind: Kind, token: str) -> str:
    """Whose mailbox a mailed token was sent to; ShopError 410 when it is none, or none any more."""
    good = (AccountMail.token_hash == digest(token)) & (AccountMail.kind == kind)
    found = select(AccountMail.email).where(good, AccountMail.expires_at > func.clock_timestamp())
    email = (await session.scalars(found)).one_or_none()
    if email is None:
        raise ShopError(410, "link_used", "this link was used, or is too old; ask for a new mail")
    return email


async def spend(session: AsyncSession, kind: Kind, token: str) -> str:
    """Use a mailed token, and with it all others of its mailbox: of several at once, one is good. Whose it was."""
    email = await mailbox(session, kind, token)
    await session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"{kind} {email}", 2))))
    await mailbox(session, kind, token)
    gone = delete(AccountMail).where(func.lower(AccountMail.email) == func.lower(email), AccountMail.kind == kind)
    await session.execute(gone)
    return email


async def prune(session: AsyncSession, *, now: datetime) -> int:
    """Forget mails whose tokens are not good any more; how many."""
    gone = delete(AccountMail).where(AccountMail.expires_at < now).returning(AccountMail.mail_id)
    return len((await session.execute(gone)).all())
