"""Passwords, kept as argon2id hashes: RFC 9106's second recommended option, 64 MiB in three passes over four lanes."""

import asyncio
import secrets
from unicodedata import normalize

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

MEMORY_KIB = 64 * 1024
PASSES = 3
LANES = 4
AT_ONCE = 4  # in a process: 256 MiB, and neither the shop's threads nor its connections are all taken by logins


class Passwords:
    """Makes and checks hashes, in threads: argon2 lets go of the interpreter's lock.

    `room` is taken before the transaction's first statement: who waits for it holds no connection.
    """

    def __init__(self, *, memory_kib: int = MEMORY_KIB, passes: int = PASSES) -> None:
        self._hasher = PasswordHasher(passes, memory_kib, LANES, hash_len=32, salt_len=16, type=Type.ID)
        self.room = asyncio.Semaphore(AT_ONCE)
        self._nobodys = self._hasher.hash(secrets.token_urlsafe())

    async def hash(self, password: str) -> str:
        """What to keep of a password."""
        return await asyncio.to_thread(self._hasher.hash, _same(password))

    async def matches(self, known: str | None, password: str) -> bool:
        """Is it the password of this hash? Nobody's (None) takes as long as somebody's."""
        try:
            await asyncio.to_thread(self._hasher.verify, known or self._nobodys, _same(password))
        except (VerificationError, InvalidHashError):
            return False
        return known is not None

    def outdated(self, known: str) -> bool:
        """Was it made with other parameters than today's?"""
        return self._hasher.check_needs_rehash(known)


def _same(password: str) -> bytes:
    """A letter with an accent is one however a keyboard composes it (NIST SP 800-63B, 3.1.1.2)."""
    return normalize("NFKC", password).encode()
