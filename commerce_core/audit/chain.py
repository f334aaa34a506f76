"""How entries are chained, and whether the chains are whole.

The hash of an entry is SHA-256 over the hash before it and the entry as canonical JSON: whoever changes, removes or
puts in an entry must make all hashes after it anew, and the end of the chain with them. That, whoever owns the database
can do; a copy of the ends that is kept elsewhere (`Whole.heads`) finds it out.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from commerce_core.audit.models import LANES, AuditEntry, AuditHead

SAID = ("lane", "seq", "entry_id", "at", "actor", "action", "object", "before", "after", "request_id")
NOTHING = bytes(32)  # before the first entry


class Head(BaseModel):
    """The end of a chain."""

    seq: int
    hash: str


class Whole(BaseModel):
    """What was found of chains without a break."""

    entries: int
    heads: dict[int, Head]


class Broken(Exception):
    """A chain is broken; says where first, and how."""


def lane(of: str) -> int:
    """The chain of a thing."""
    return int.from_bytes(hashlib.sha256(of.encode()).digest()[:4]) % LANES


def digest(previous: bytes, said: Mapping[str, Any]) -> bytes:
    """The hash of an entry; `said`: its columns SAID."""
    entry = {name: said[name] for name in SAID} | {"entry_id": str(said["entry_id"]), "at": _written(said["at"])}
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(previous + text.encode()).digest()


def _written(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds")


async def verify(session: AsyncSession, since: Whole | None = None) -> Whole:
    """Read every entry, as of now; Broken with the first one that is not as it was written, or not as it was found
    before (`since`). The first thing that is asked in its transaction."""
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    heads = {head.lane: head for head in (await session.scalars(select(AuditHead).order_by(AuditHead.lane))).all()}
    if missing := set(range(LANES)) - set(heads):
        raise Broken(f"chain {min(missing)} has no end: its row of audit_heads is gone")
    found = {number: Head(seq=0, hash=NOTHING.hex()) for number in heads}
    entries = 0
    columns = [getattr(AuditEntry, name) for name in (*SAID, "previous_hash", "hash")]
    query = select(*columns).order_by(AuditEntry.lane, AuditEntry.seq).execution_options(yield_per=1000)
    async for found_row in (await session.stream(query)).mappings():
        row, entries = dict(found_row), entries + 1
        before = found.get(row["lane"], Head(seq=0, hash=NOTHING.hex()))
        _check(dict(row), before)
        found[row["lane"]] = Head(seq=row["seq"], hash=row["hash"].hex())
        _check_since(since, row["lane"], found[row["lane"]], row["entry_id"])
    for number, end in found.items():
        head = heads.get(number)
        said = Head(seq=head.seq, hash=head.hash.hex()) if head else None
        if said != end:
            raise Broken(f"chain {number} ends with entry {end.seq}, and should with {said.seq if said else 'none'}")
        if since and number in since.heads and since.heads[number].seq > end.seq:
            raise Broken(f"chain {number} ends with entry {end.seq}; it had {since.heads[number].seq} before")
    return Whole(entries=entries, heads=found)


def _check(row: Mapping[str, Any], before: Head) -> None:
    name = f"entry {row['entry_id']} ({row['seq']} of chain {row['lane']})"
    if row["seq"] != before.seq + 1:
        raise Broken(f"{name}: {row['seq'] - before.seq - 1} entries before it are gone")
    if row["previous_hash"].hex() != before.hash:
        raise Broken(f"{name}: it does not follow the entry before it")
    if row["hash"] != digest(row["previous_hash"], row):
        raise Broken(f"{name}: it is not what was written")


def _check_since(since: Whole | None, number: int, end: Head, entry_id: Any) -> None:
    known = since.heads.get(number) if since else None
    if known is not None and known.seq == end.seq and known.hash != end.hash:
        raise Broken(f"entry {entry_id} ({end.seq} of chain {number}): it is another than was found before")
