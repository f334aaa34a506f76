"""Sent twice, done once: a request that changes money or stock carries a key, claimed in the transaction of its change.

The answer is stored with the change, so a crash keeps both or neither, and a repeat gets the very bytes of the first.
Refusals are not stored: they changed nothing, and may not hold any more when the caller tries again.
After draft-ietf-httpapi-idempotency-key-header-07.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Annotated

from fastapi import Depends, Header, Request, Response
from pydantic import BaseModel
from sqlalchemy import Index, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Mapped, mapped_column

from commerce_core.db import Table
from commerce_core.errors import ShopError
from commerce_core.principals import GUEST, Caller, Secret, hashed

KEPT = timedelta(days=7)
PRUNED_AT_ONCE = 5_000
REPLAYED = "Idempotency-Replayed"


_PRUNE = text("""
    delete from idempotency_keys
    where ctid in (select ctid from idempotency_keys where at < :until limit :most)
""")


class IdempotencyKey(Table):
    """A key that a principal used, for what, and what the answer was."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (Index("idempotency_keys_by_time", "at", postgresql_using="brin"),)

    principal: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[bytes]
    status: Mapped[int]
    body: Mapped[str]
    at: Mapped[datetime] = mapped_column(server_default=text("now()"))


class Once:
    """Does the work of a request unless its key was used before."""

    def __init__(self, principal: str, key: str, request: str) -> None:
        self._principal = principal
        self._key = key
        self._request = request

    async def __call__(
        self, session: AsyncSession, body: BaseModel, work: Callable[[], Awaitable[BaseModel]], *, status: int = 200
    ) -> Response:
        """The answer of `work`, or of the request with this key that was answered before.

        ShopError 409 `request_in_flight` while another one with this key is at work, 422 `key_reused` when the key
        stands for something else.
        """
        await self._claim(session)
        fingerprint = blake2b(f"{self._request}\0{body.model_dump_json()}".encode(), digest_size=16).digest()
        mine = (IdempotencyKey.principal == self._principal) & (IdempotencyKey.key == self._key)
        known = (await session.scalars(select(IdempotencyKey).where(mine))).one_or_none()
        if known is not None:
            if known.fingerprint != fingerprint:
                raise ShopError(422, "key_reused", "this Idempotency-Key was used for another request; take a new one")
            return Response(known.body, known.status, {REPLAYED: "true"}, "application/json")
        answer = (await work()).model_dump_json()
        values = {"principal": self._principal, "key": self._key, "fingerprint": fingerprint}
        await session.execute(insert(IdempotencyKey).values(**values, status=status, body=answer))
        return Response(answer, status, media_type="application/json")

    async def _claim(self, session: AsyncSession) -> None:
        """Let nobody else work under this key until the transaction ends; whoever tries is told so at once."""
        lock = func.hashtextextended(f"{len(self._principal)} {self._principal} {self._key}", 1)
        if not (await session.execute(select(func.pg_try_advisory_xact_lock(lock)))).scalar_one():
            raise ShopError(409, "request_in_flight", "a request with this Idempotency-Key is at work; ask again soon")


async def _once(
    request: Request,
    caller: Caller,
    idempotency_key: Annotated[
        str | None, Header(max_length=255, pattern=r"^[\x21-\x7e]+$", description="the caller's name for this request")
    ] = None,
    x_cart: Secret = None,
) -> Once:
    if idempotency_key is None:
        raise ShopError(400, "key_needed", "send an Idempotency-Key: a name of yours for this request, such as a UUID")
    name = f"{caller.name} {hashed(x_cart).hex()}" if caller == GUEST and x_cart else caller.name
    return Once(name, idempotency_key, f"{request.method} {request.url.path}")


Idempotent = Annotated[Once, Depends(_once)]


async def prune(session: AsyncSession, *, now: datetime) -> int:
    """Forget some of the keys older than KEPT, so many that it does not take long; how many."""
    connection = await session.connection()
    return (await connection.execute(_PRUNE, {"until": now - KEPT, "most": PRUNED_AT_ONCE})).rowcount
