"""What a password costs to guess, and that the cost rises with the setting."""

import pytest
from argon2 import extract_parameters
from argon2.low_level import Type

from commerce_core.accounts.passwords import Passwords
from commerce_core.settings import Settings

CHEAP = {"memory_kib": 32, "passes": 1}


async def test_production_hashes_as_rfc_9106_says():
    """Second recommended option (section 4): argon2id, 3 passes, 4 lanes, 64 MiB, 128 bits of salt, 256 of tag."""
    needed = {"DATABASE_URL": "postgresql:///x", "SERVICE_TOKEN": "x" * 16, "SIGNING_KEYS": f"k:{'A' * 43}"}
    settings = Settings(**needed)
    made = extract_parameters(
        await Passwords(memory_kib=settings.ARGON2_MEMORY_KIB, passes=settings.ARGON2_PASSES).hash("a password")
    )
    assert (made.type, made.version) == (Type.ID, 19)
    assert (made.memory_cost, made.time_cost, made.parallelism) == (64 * 1024, 3, 4)
    assert (made.salt_len, made.hash_len) == (16, 32)


async def test_the_same_password_is_known_again_and_no_other():
    passwords = Passwords(**CHEAP)
    known = await passwords.hash("ein Fluß")
    assert known != await passwords.hash("ein Fluß")
    assert await passwords.matches(known, "ein Fluß")
    assert not await passwords.matches(known, "ein Fluss")


async def test_an_accent_is_one_however_it_is_typed():
    passwords = Passwords(**CHEAP)
    assert await passwords.matches(await passwords.hash("caf\u00e9 au lait"), "cafe\u0301 au lait")


@pytest.mark.parametrize("known", [None, "", "not a hash", "$2b$12$" + "a" * 53])
async def test_nobody_has_no_password(known):
    assert not await Passwords(**CHEAP).matches(known, "a password")


async def test_hashes_of_other_parameters_are_outdated():
    known = await Passwords(**CHEAP).hash("a password")
    assert not Passwords(**CHEAP).outdated(known)
    assert Passwords(memory_kib=64, passes=1).outdated(known)
    assert Passwords(memory_kib=32, passes=2).outdated(known)
