"""Money is whole minor units of an ISO 4217 currency; here is what it takes to divide and to print them."""

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction

# ISO 4217; every other currency in use has two.
_DECIMALS = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
}
_EXPONENTS = {currency: decimals for decimals, currencies in _DECIMALS.items() for currency in currencies.split()}

PPM = 1_000_000


def exponent(currency: str) -> int:
    """Decimals of the currency: 0 for JPY, 2 for EUR, 3 for KWD."""
    return _EXPONENTS.get(currency, 2)


def printed(minor: int, currency: str) -> str:
    """1234 USD as "12.34", 1234 JPY as "1234", 1234 KWD as "1.234"."""
    return str(Decimal(minor).scaleb(-exponent(currency)))


def allocate(total_minor: int, weights: Sequence[int]) -> list[int]:
    """`total_minor` divided by weight: the parts add up to it exactly, and each is within one unit of its share.

    Units that rounding leaves go to the largest remainders, of equal ones to the first (Hamilton's method).
    Weights that are all 0 count alike.
    """
    if not weights:
        raise ValueError("there is nothing to allocate to")
    if min(weights) < 0:
        raise ValueError("a weight is negative")
    if not any(weights):
        weights = [1] * len(weights)
    whole = sum(weights)
    shares = [divmod(abs(total_minor) * weight, whole) for weight in weights]
    left = abs(total_minor) - sum(share for share, _ in shares)
    largest = sorted(range(len(weights)), key=lambda place: -shares[place][1])[:left]
    parts = [share + (place in largest) for place, (share, _) in enumerate(shares)]
    return parts if total_minor >= 0 else [-part for part in parts]


def share(amount_minor: int, rate_ppm: int) -> int:
    """So many millionths of an amount, half units rounded to the even one: 2.5 gives 2, 3.5 gives 4."""
    return round(Fraction(amount_minor * rate_ppm, PPM))
