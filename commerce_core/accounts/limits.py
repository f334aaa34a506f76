"""How often one address, or one address for one account, may try: exact across all workers, by one statement.

An account is never locked: what is limited is an address at an account, so nobody keeps its owner out from elsewhere.
The database counts, and without it nobody logs in either (503): there is no state in which trying is free.
"""

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy import delete, text
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from commerce_core.accounts.models import AuthThrottle
from commerce_core.errors import ShopError


@dataclass(frozen=True, slots=True)
class Limit:
    """`burst` at once, and another one `every` so often."""

    name: str
    burst: int
    every: timedelta


# Passwords, of one account from one address: 10 at once, then one a minute. Their success clears the account.
PASSWORDS = Limit("passwords", 10, timedelta(minutes=1))
# All that an address asks of accounts: a household or an office stays below it.
ADDRESS = Limit("address", 100, timedelta(seconds=3))
# Mails that an address has sent.
MAILS = Limit("mails", 20, timedelta(minutes=3))
# Mails of a kind to one mailbox. Each is good for an hour, and a new one may follow after 20 minutes: who uses the
# limit up for somebody else leaves mails in their mailbox that work.
MAILBOX = Limit("mailbox", 3, timedelta(minutes=20))

# Generic cell rate algorithm: `until` is the moment when all that was taken is earned again. It may lie at most `room`
# ahead. The row is locked before it is looked at, so of any number at once exactly `burst` pass.
_TAKE = text("""
    insert into auth_throttle as known (key, until)
    values (:key, clock_timestamp() + cast(:every as interval))
    on conflict (key) do update set until = greatest(known.until, clock_timestamp()) + cast(:every as interval)
    where greatest(known.until, clock_timestamp()) + cast(:every as interval)
        <= clock_timestamp() + cast(:room as interval)
    returning until
""")
_WAIT = text("""
    select extract(epoch from until + cast(:every as interval) - cast(:room as interval) - clock_timestamp())
    from auth_throttle where key = :key
""")


class Limits:
    """Counts in transactions of its own: what is refused in the end was tried all the same. Counting comes before the
    request's own transaction has a connection, or requests could wait for each other's."""

    def __init__(self, engine: AsyncEngine, address: str) -> None:
        self._engine = engine
        self._address = address

    async def take(self, limit: Limit, account: str = "") -> None:
        """Count one of this address (for an account); ShopError 429 `too_many` when it is one too many."""
        wait_s = await self._taken(limit, f"{self._address} {account}")
        if wait_s is not None:
            message = f"too many tries; wait {wait_s} s"
            raise ShopError(429, "too_many", message, headers={"Retry-After": str(wait_s)})

    async def room_for(self, limit: Limit, whom: str) -> bool:
        """Count one for somebody, whatever the address; False when it is one too many."""
        return await self._taken(limit, whom) is None

    async def clear(self, session: AsyncSession, limit: Limit, account: str) -> None:
        """Forget what this address took for an account, with what `session` does."""
        key = _key(limit, f"{self._address} {account}")
        await session.execute(delete(AuthThrottle).where(AuthThrottle.key == key))

    async def _taken(self, limit: Limit, who: str) -> int | None:
        """None when there was room for one, else the seconds until there is."""
        values = {"key": _key(limit, who), "every": limit.every, "room": limit.every * limit.burst}
        async with AsyncSession(self._engine) as session, session.begin():
            if (await session.execute(_TAKE, values)).one_or_none() is not None:
                return None
            wait_s = (await session.execute(_WAIT, values)).scalar_one_or_none()
            return max(1, int(wait_s or 0) + 1)


def _key(limit: Limit, who: str) -> bytes:
    """The table names nobody."""
    return blake2b(f"{limit.name} {who}".encode(), digest_size=16).digest()


def address(host: str) -> str:
    """Whom an address stands for: in IPv6 a household has all of a /64."""
    try:
        known = ipaddress.ip_address(host)
    except ValueError:
        return host
    if known.version == 6:
        return str(known.ipv4_mapped or ipaddress.ip_network((known, 64), strict=False))
    return str(known)


async def prune(session: AsyncSession, *, now: datetime) -> int:
    """Forget who has all of a limit again; how many."""
    gone = delete(AuthThrottle).where(AuthThrottle.until < now).returning(AuthThrottle.key)
    return len((await session.execute(gone)).all())


async def _limits(request: Request) -> Limits:
    return Limits(request.app.state.engine, address(request.client.host if request.client else ""))


Limited = Annotated[Limits, Depends(_limits)]


async def _bounded(limits: Limited) -> None:
    await limits.take(ADDRESS)


EachAddress = Depends(_bounded)
