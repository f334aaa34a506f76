from dataclasses import replace

import numpy as np
from scipy.sparse import csr_matrix

from models import als, als_spark
from tests.models.test_als import PARAMS, best_new, checkerboard, ids


def test_both_engines_see_the_same_in_an_obvious_shop(spark, tmp_path):
    orders, left_out = checkerboard()
    names = ids(12)
    cells = [(f"u{row:02}", str(names[column]), 1) for row, column in zip(*orders.nonzero(), strict=True)]
    frame = spark.createDataFrame(cells, "user_id string, product_id string, orders int")
    params = replace(PARAMS, engine="spark", iterations=4)
    distributed = als_spark.fit(frame, params, seed=1, checkpoint_dir=str(tmp_path))
    assert distributed.ids.tolist() == names.tolist()
    local = als.fit(names, orders, PARAMS, seed=1)
    assert (best_new(distributed, orders) == left_out).all()
    assert (best_new(local, orders) == left_out).all()
    newcomer = csr_matrix(np.eye(12, dtype=np.float32)[[4]])
    both = [factors.place(newcomer) @ factors.vectors.T for factors in (distributed, local)]
    even = np.arange(12) % 2 == 0
    for scores in both:
        assert scores[0, even].min() > scores[0, ~even].max() + 0.1
