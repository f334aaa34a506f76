"""Arithmetic that takes a number or a Spark column alike: operators only, no nulls, no branches."""

from typing import TypeVar

Number = TypeVar("Number")  # a float, a numpy array or a pyspark Column


def decay(age_days: Number, half_life_days: float) -> Number:
    """Weight in (0, 1] of something that old: 1 today, one half after half_life_days."""
    return 0.5 ** (age_days / half_life_days)  # type: ignore[operator,no-any-return]


def shrunk_ratio(observed: Number, expected: Number, prior: float) -> Number:
    """Observed over expected counts, towards 1 the fewer there are: the posterior mean of a Poisson rate ratio.

    The gamma-Poisson shrinker of DuMouchel, "Bayesian Data Mining in Large Frequency Tables" (The American Statistician
    53, 1999), with one gamma prior of mean 1 worth `prior` expected counts.
    """
    return (observed + prior) / (expected + prior)  # type: ignore[operator,return-value]
