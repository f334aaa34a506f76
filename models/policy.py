"""Who is shown whose lists, and in what order: decided by hashes, so that every process decides the same for ever.

What is decided at random is random between visitors, or requests, and its probabilities are known: the log holds them,
and `models.counterfactual` judges by them what was never tried on everybody.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b


def fraction(*words: str) -> float:
    """A number in [0, 1) that these words stand for; over many words it is spread evenly."""
    digest = blake2b("\0".join(words).encode(), digest_size=8).digest()
    return (int.from_bytes(digest) >> 11) / (1 << 53)  # the 53 bits that a float holds


@dataclass(frozen=True, slots=True)
class Shuffle:
    """A share of requests, on whose shelves the places from `first` on are shuffled, each order as likely as any."""

    share: float
    first: int

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.first < 1:
            raise ValueError(f"shuffle: share {self.share} is not from 0 to 1, or first {self.first} is below 1")

    def chosen(self, request_id: str) -> bool:
        """Is this one of those requests?"""
        return fraction("shuffle", request_id) < self.share

    def order(self, length: int, free: Sequence[int], *words: str) -> list[int]:
        """For each place of a list, from 0, the one that its product had before; words shuffle the `free` places."""
        # 64 bytes are so many more than there are orders of fifty that none is likelier by more than 2^-297.
        number = int.from_bytes(blake2b("\0".join(("order", *words)).encode(), digest_size=64).digest())
        order = list(range(length))
        for place, drawn in zip(free, permutation(number, len(free)), strict=True):
            order[place] = free[drawn]
        return order

    def propensities(self, order: Sequence[int], free: Sequence[int]) -> list[float]:
        """Probability, before the request was drawn, that each of these products comes to stand where it does.

        With m free places a product stays in its own when the request is not drawn, or drawn and the order leaves it
        there: 1 - share + share / m. It comes to any other with share / m.
        """
        known = [1.0] * len(order)
        for at in free:
            known[at] = self.share / len(free) + (1 - self.share) * (order[at] == at)
        return known


@dataclass(frozen=True, slots=True)
class Arrivals:
    """A share of requests in which one place of a shelf shows a product that is new in the shop: each as likely."""

    share: float
    place: int

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1 or self.place < 1:
            raise ValueError(f"arrivals: share {self.share} is not from 0 to 1, or place {self.place} is below 1")

    def chosen(self, request_id: str) -> bool:
        """Is this one of those requests?"""
        return fraction("arrivals", request_id) < self.share

    def drawn(self, request_id: str, new: Sequence[int]) -> int:
        """The one of these that the request tries."""
        return new[int(fraction("arrival", request_id) * len(new))]

    def propensity(self, tries: bool, new: int) -> float:
        """Probability of what stands in the place, before the request was drawn; `new`: how many could be tried.

        What is tried is none of what the shelf shows else, so it comes there in this way alone.
        """
        return self.share / new if tries else 1 - self.share


@dataclass(frozen=True, slots=True)
class Experiment:
    """A challenger for a share of the visitors, under a name; without a name there is none."""

    name: str
    challenger: float

    def __post_init__(self) -> None:
        if not 0 <= self.challenger <= 1:
            raise ValueError(f"experiment: a share of {self.challenger} is not from 0 to 1")

    def arm(self, visitor: str) -> str:
        """Champion or challenger, the same at each visit; who is in the challenger's arm stays when it grows."""
        return "challenger" if fraction(self.name, visitor) < self.challenger else "champion"


@dataclass(frozen=True, slots=True)
class PolicyParams:
    """conf/experiments.toml."""

    shuffle: Shuffle
    arrivals: Arrivals
    experiment: Experiment


def permutation(number: int, size: int) -> list[int]:
    """The order of `size` things with this number: each number below size! gives another one."""
    left, order = list(range(size)), []
    for choices in range(size, 0, -1):
        number, at = divmod(number, choices)
        order.append(left.pop(at))
    return order
