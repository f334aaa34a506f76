"""Sessions: a login and the refresh tokens that follow from it, each good once.

A refresh token is random, and stands in the database as its hash. Trading it gives the next one. One that comes a
second time was copied, and whether the owner or the thief has it nobody can tell: the session ends for both.

Two tabs that refresh at the same moment are no theft. Within GRACE of the first use the second is refused with 409 and
nothing ends: one of them won, and the other takes the tokens that it got. Nothing new is given out for a token that was
used, so an answer that was lost on its way costs a login.
"""

import secrets
from datetime import datetime, timedelta
from hashlib import sha256
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.accounts.models import RefreshFamily, RefreshToken, UserRole
from commerce_core.accounts.schemas import TokenPair
from commerce_core.accounts.tokens import AccessTokens, Grant
from commerce_core.errors import ShopError

GRACE = timedelta(seconds=10)
IDLE = timedelta(days=30)  # a token that was not used for so long
WHOLE = timedelta(days=180)  # a session, however much it is used
CUSTOMER = "customer"


def refused() -> ShopError:
    """Says no more than that: whether there ever was such a session is nobody's business."""
    message = "this session has ended; log in again"
    return ShopError(401, "refresh_refused", message, headers={"WWW-Authenticate": "Bearer"})


def digest(token: str) -> bytes:
    """What is kept of a random token. It has 256 bits: nothing slower is needed."""
    return sha256(token.encode()).digest()


async def now(session: AsyncSession) -> datetime:
    """The database's time after waiting for locks, unlike the transaction's own: one clock for all workers."""
    found: datetime = (await session.execute(select(func.clock_timestamp()))).scalar_one()
    return found


async def begin(session: AsyncSession, tokens: AccessTokens, user_id: UUID) -> TokenPair:
    """A new session of somebody who has proved who they are."""
    at = await now(session)
    family = insert(RefreshFamily).values(user_id=user_id, expires_at=at + WHOLE).returning(RefreshFamily.family_id)
    return await _next(session, tokens, user_id, (await session.execute(family)).scalar_one(), at)


async def refresh(session: AsyncSession, tokens: AccessTokens, token: str) -> TokenPair | None:
    """The next tokens for a refresh token; None when it had been used before, and its session is ended now.

    ShopError 401 when it is no token of a session, 409 `refresh_raced` when it was used just now.
    """
    mine = RefreshToken.token_hash == digest(token)
    # One at a time per session: who waited sees what the one before did.
    found = select(RefreshFamily).join(RefreshToken).where(mine).with_for_update(of=RefreshFamily)
    family = (await session.scalars(found)).one_or_none()
    if family is None:
        raise refused()
    at = await now(session)
    known = (await session.scalars(select(RefreshToken).where(mine))).one()
    if family.ended_at is not None or min(family.expires_at, known.expires_at) <= at:
        raise refused()
    if known.used_at is None:
        await session.execute(update(RefreshToken).where(mine).values(used_at=at))
        return await _next(session, tokens, family.user_id, family.family_id, at)
    if at - known.used_at <= GRACE:
        raise ShopError(
            409, "refresh_raced", "this token was traded a moment ago; go on with the tokens of that answer"
        )
    structlog.get_logger().warning("refresh_token_reused")
    await _end(session, RefreshFamily.family_id == family.family_id, by="reuse")
    return None


async def _next(session: AsyncSession, tokens: AccessTokens, user_id: UUID, family: UUID, at: datetime) -> TokenPair:
    token = secrets.token_urlsafe(32)
    values = {"token_hash": digest(token), "family_id": family, "expires_at": at + IDLE}
    await session.execute(insert(RefreshToken).values(**values))
    grant = Grant(user_id, family, await roles(session, user_id) | {CUSTOMER})
    return TokenPair(access_token=tokens.issue(grant, now=at), expires_in=tokens.lasts_s, refresh_token=token)


async def roles(session: AsyncSession, user_id: UUID) -> frozenset[str]:
    """What somebody may do beyond what every customer may."""
    return frozenset((await session.scalars(select(UserRole.role).where(UserRole.user_id == user_id))).all())


async def end(session: AsyncSession, token: str) -> None:
    """Log out: the session of this refresh token has ended. Nothing when there is none."""
    families = select(RefreshToken.family_id).where(RefreshToken.token_hash == digest(token))
    await _end(session, RefreshFamily.family_id.in_(families), by="logout")


async def end_all(session: AsyncSession, user_id: UUID, *, but: UUID | None = None) -> None:
    """End all sessions of somebody, but one."""
    others = RefreshFamily.user_id == user_id
    await _end(session, others if but is None else others & (RefreshFamily.family_id != but), by="password")


async def _end(session: AsyncSession, which: ColumnElement[bool], *, by: str) -> None:
    open_ones = update(RefreshFamily).where(which, RefreshFamily.ended_at.is_(None))
    await session.execute(open_ones.values(ended_at=func.clock_timestamp(), ended_by=by))


async def prune(session: AsyncSession, *, now: datetime) -> int:
    """Forget tokens that ran out, and sessions that did, with theirs; how many sessions."""
    await session.execute(delete(RefreshToken).where(RefreshToken.expires_at < now))
    gone = delete(RefreshFamily).where(RefreshFamily.expires_at < now).returning(RefreshFamily.family_id)
    return len((await session.execute(gone)).all())
