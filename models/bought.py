"""Which products a shopper ever bought, in a byte each: a Bloom filter (Bloom, CACM 1970) over dense indexes.

What was bought is always found. Of what was not, one product in fifty is taken for bought, but none of those that the
filter was made to spare: the ones that are published as new to the shopper.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
Hashes = NDArray[np.uint32]
Mask = NDArray[np.bool_]

PROBES = 5  # bits of a product: with 8 bits of filter for each, 2 % of other products find all of theirs set
SMALLEST = 8  # bytes
SALTS = 100  # the first byte says which bits are a product's; one salt in three spares fifty products
_TURNS = np.arange(PROBES, dtype=np.uint32)[:, None]


def encode(bought: Sequence[Numbers], spared: Sequence[Numbers]) -> list[bytes]:
    """Each shopper's filter: all of `bought` is found in it and, as a rule, nothing else of `spared`.

    It is empty for who bought nothing. Many shoppers at once cost a tenth of one by one.
    """
    values = [b""] * len(bought)
    left = [place for place, theirs in enumerate(bought) if len(theirs)]
    for salt in range(SALTS):
        if not left:
            break
        made, lucky = _filters([bought[place] for place in left], [spared[place] for place in left], salt)
        for place, value in zip(left, made, strict=True):
            values[place] = value
        left = [place for place, well in zip(left, lucky, strict=True) if not well]
    return values


def holds(value: bytes, items: Numbers) -> Mask:
    """Which of these products are found in the filter. (items,)"""
    if not value:
        return np.zeros(len(items), dtype=bool)
    bits = np.unpackbits(np.frombuffer(value, dtype=np.uint8, offset=1), bitorder="little")
    return np.asarray(bits[_bits(items, value[0], np.array([len(bits)]))].all(axis=0), dtype=bool)


def _filters(bought: list[Numbers], spared: list[Numbers], salt: int) -> tuple[list[bytes], list[bool]]:
    """The shoppers' filters for this salt, and which of them spare what they should."""
    lengths = np.array([len(theirs) for theirs in bought])
    sizes = np.maximum(lengths, SMALLEST)  # bytes
    ends = np.cumsum(sizes)
    starts = ends - sizes
    theirs = np.repeat(np.arange(len(bought)), lengths)
    bits = np.zeros(8 * ends[-1], dtype=bool)
    bits[8 * starts[theirs] + _bits(np.concatenate(bought), salt, 8 * sizes[theirs])] = True
    others = np.repeat(np.arange(len(bought)), [len(new) for new in spared])
    hit = bits[8 * starts[others] + _bits(np.concatenate(spared), salt, 8 * sizes[others])].all(axis=0)
    hits = np.bincount(others[hit], minlength=len(bought))
    packed, first = np.packbits(bits, bitorder="little").tobytes(), bytes([salt])
    made = [first + packed[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
    return made, (hits == 0).tolist()


def _bits(items: Numbers, salt: int, sizes: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where in filters of these sizes each product's bits are (Kirsch, Mitzenmacher 2006). (probes, items)"""
    mixed: Hashes = items.astype(np.uint32) * np.uint32(0x9E3779B1)
    mixed ^= mixed >> np.uint32(15)
    mixed *= np.uint32(0x85EBCA6B)
    mixed ^= mixed >> np.uint32(16)
    step = mixed * np.uint32(0x9E3779B1) | np.uint32(1)
    turned = mixed + (_TURNS + np.uint32(salt * PROBES)) * step
    return turned.astype(np.int64) * sizes >> 32
