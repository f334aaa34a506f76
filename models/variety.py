"""How alike the products of a shelf may be: one that says too little new waits until nothing else is left.

Two limits, either of which may be absent: so many products of a category (category caps), and how like another product
of the shelf one may be (the diversity of Carbonell and Goldstein's MMR, SIGIR 1998, as a bound instead of a weight:
flavours and sizes of the same thing have nearly the same vector, however high their scores).
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from models.session import Products, category_number

Row = TypeVar("Row")

UNSORTED = category_number("")  # products without a category are no kind


@dataclass(frozen=True, slots=True)
class Limits:
    """What a shelf may hold."""

    most_of_category: int | None = None
    """Products of the same category, the one furthest down its path."""
    alike: float | None = None
    """Cosine of two products' vectors from which on they count as the same."""


def varied(
    rows: Iterable[Row], item: Callable[[Row], int], limits: Limits, products: Products, standing: Iterable[int] = ()
) -> Iterator[Row]:
    """The rows in their order, those at last that went past a limit; `standing`: what is on the shelf already."""
    shown: list[int] = []
    counts: dict[int, int] = {}

    def add(number: int) -> None:
        shown.append(number)
        category = int(products.categories[number])
        counts[category] = counts.get(category, 0) + 1

    def fits(number: int) -> bool:
        category, most = int(products.categories[number]), limits.most_of_category
        if most is not None and category != UNSORTED and counts.get(category, 0) >= most:
            return False
        if limits.alike is None or not shown:
            return True
        return float((products.vectors[shown] @ products.vectors[number]).max()) < limits.alike

    for number in standing:
        add(number)
    waiting: list[Row] = []
    for row in rows:
        if fits(item(row)):
            add(item(row))
            yield row
        else:
            waiting.append(row)
    yield from waiting
