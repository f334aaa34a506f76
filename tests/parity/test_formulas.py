"""The same arithmetic on a Spark column and on plain numbers, on golden rows."""

import numpy as np
import pytest
from pyspark.sql import functions as F

from features.formulas import decay

GOLDEN = [
    (0, 42.0, 1.0),
    (42, 42.0, 0.5),
    (84, 42.0, 0.25),
    (365, 42.0, 0.5 ** (365 / 42)),
    (7, 3.5, 0.25),
    (100_000, 1.0, 0.0),
]


def test_decay(spark):
    frame = spark.createDataFrame([row[:2] for row in GOLDEN], "age_days int, half_life_days double")
    for (age, half_life, expected), row in zip(GOLDEN, frame.collect(), strict=True):
        column = spark.createDataFrame([row]).select(decay(F.col("age_days"), half_life).alias("weight")).first().weight
        assert column == decay(float(age), half_life) == pytest.approx(expected, abs=1e-300)
    ages = np.array([row[0] for row in GOLDEN[:4]], dtype=float)
    assert decay(ages, 42.0) == pytest.approx([row[2] for row in GOLDEN[:4]])
