"""Values of many shoppers at once, byte for byte what contracts.keys.encode_user makes of each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from contracts import keys
from contracts.tables import SLOTS

Numbers = NDArray[np.int64]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Lists:
    """Lists of a block of shoppers, all in one row: by shopper, then by slot in order of contracts.tables.SLOTS."""

    lengths: Numbers  # (shoppers, slots) products of each list
    items: Numbers  # (entries,) dense indexes
    scores: NDArray[np.float32]  # (entries,)
    sources: Numbers  # (entries,) codes
    because: Numbers  # (entries,) dense indexes, or keys.NOTHING

    def of_slot(self, slot: str) -> list[Numbers]:
        """Each shopper's products of that slot."""
        ends = np.cumsum(self.lengths).reshape(self.lengths.shape)[:, SLOTS.index(slot)].tolist()
        lengths = self.lengths[:, SLOTS.index(slot)].tolist()
        return [self.items[end - length : end] for end, length in zip(ends, lengths, strict=True)]


def encode_users(lists: Lists, bought: Sequence[bytes]) -> list[bytes]:
    """The value of each shopper; `bought` are their filters."""
    users = len(lists.lengths)
    totals = lists.lengths.sum(axis=1)
    owner = np.repeat(np.arange(users), totals)  # (entries,) whose it is
    reasons = np.where(lists.because == lists.items, keys.ITSELF, lists.because + keys.FIRST_REASON)
    told, used = np.unique(owner << 40 | lists.sources << 32 | reasons, return_inverse=True)
    teller = told >> 40  # (explanations,) whose
    explained = np.bincount(teller, minlength=users)
    if lists.lengths.max(initial=0) > keys.MOST_LISTED or explained.max(initial=0) > keys.MOST_LISTED:
        raise ValueError(f"at most {keys.MOST_LISTED} products in a list and explanations of a shopper")
    highest = np.zeros(users, dtype=np.int64)
    np.maximum.at(highest, owner, np.maximum(lists.items, reasons))
    widths = 2 + (highest >= 1 << 16).astype(np.int64) + (highest >= 1 << 24)
    sizes = keys.USER_HEADER.size + (1 + widths) * explained + (widths + 2) * totals
    starts = np.cumsum(sizes) - sizes
    out = np.zeros(int(sizes.sum()), dtype=np.uint8)

    scales, steps = _scaled(lists)
    header = np.zeros((users, keys.USER_HEADER.size), dtype=np.uint8)
    counts = np.column_stack([widths, explained, lists.lengths])
    header[:, : counts.shape[1]] = counts
    header[:, counts.shape[1] :] = scales.view(np.uint8)
    out[starts[:, None] + np.arange(keys.USER_HEADER.size)] = header

    at = starts + keys.USER_HEADER.size
    place = np.arange(len(told)) - _starts(explained)[teller]
    out[at[teller] + place] = told >> 32 & 0xFF
    _spread(out, (at + explained)[teller] + widths[teller] * place, told & 0xFFFFFFFF, widths[teller])

    at += (1 + widths) * explained
    flat = lists.lengths.ravel()
    wide = np.repeat(widths, len(SLOTS))
    shelf = np.repeat(np.arange(len(flat)), flat)  # (entries,) which list it stands in
    before = np.cumsum(lists.lengths, axis=1) - lists.lengths
    list_start = np.repeat(at, len(SLOTS)) + (wide + 2) * before.ravel()
    place = np.arange(len(shelf)) - _starts(flat)[shelf]
    _spread(out, list_start[shelf] + wide[shelf] * place, lists.items, wide[shelf])
    behind = (list_start + wide * flat)[shelf] + place
    out[behind] = steps
    out[behind + flat[shelf]] = used - _starts(explained)[owner]
    return _sealed(out, starts, sizes, bought)


def _scaled(lists: Lists) -> tuple[NDArray[np.float32], Bytes]:
    """Highest score and step of each list, (shoppers, 2 slots), and how many steps each entry lies below."""
    flat = lists.lengths.ravel()
    filled = np.flatnonzero(flat)
    firsts = _starts(flat)[filled]
    scores = lists.scores.astype(np.float64)
    scales = np.zeros((len(flat), 2), dtype=np.float32)
    if len(filled):
        top = np.maximum.reduceat(scores, firsts)
        scales[filled, 0] = top
        scales[filled, 1] = (top - np.minimum.reduceat(scores, firsts)) / keys.STEPS
    shelf = np.repeat(np.arange(len(flat)), flat)
    top, step = scales[shelf].astype(np.float64).T
    down = np.divide(top - scores, step, out=np.zeros(len(scores)), where=step > 0)
    return scales.reshape(len(lists.lengths), 2 * len(SLOTS)), np.minimum(down + 0.5, keys.STEPS).astype(np.uint8)


def _spread(out: Bytes, at: Numbers, numbers: Numbers, widths: Numbers) -> None:
    """Write each number at its place in so many bytes."""
    for byte in range(int(widths.max(initial=0))):
        wide = widths > byte
        if wide.all():
            out[at + byte] = numbers >> 8 * byte & 0xFF
        else:
            out[at[wide] + byte] = numbers[wide] >> 8 * byte & 0xFF


def _starts(lengths: Numbers) -> Numbers:
    return np.asarray(np.cumsum(lengths) - lengths)


def _sealed(out: Bytes, starts: Numbers, sizes: Numbers, bought: Sequence[bytes]) -> list[bytes]:
    whole, ends = out.tobytes(), starts + sizes
    cut = zip(starts.tolist(), ends.tolist(), bought, strict=True)
    return [keys.sealed(whole[start:end] + own) for start, end, own in cut]
