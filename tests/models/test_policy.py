"""Decisions by hash: the same everywhere and for ever, and evenly spread."""

from hashlib import blake2b

import pytest

from models.policy import fraction


def test_a_fraction_is_a_hash_and_nothing_else():
    first_bytes = blake2b(b"sample\0r1", digest_size=8).digest()
    assert fraction("sample", "r1") == pytest.approx(int.from_bytes(first_bytes) / 2**64, abs=2**-53)
    assert fraction("sample", "r1") != fraction("sampl", "er1")


def test_fractions_lie_in_each_tenth_alike():
    numbers = [fraction("some", str(number)) for number in range(10_000)]
    assert all(0 <= number < 1 for number in numbers)
    tenths = [sum(int(number * 10) == tenth for number in numbers) for tenth in range(10)]
    assert max(abs(count - 1_000) for count in tenths) < 120  # four standard errors: sqrt(10,000 × 0.1 × 0.9) = 30
