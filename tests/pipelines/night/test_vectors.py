from contracts.tables import ITEM_VECTORS, PRODUCTS
from pipelines import vectors
from tests.pipelines.small_night import read


def test_every_product_that_may_be_shown_has_a_unit_vector_and_its_kind_is_nearest(night):
    made, _ = night
    report = vectors.build(made.day, made.settings)
    rows = read(made.lake, ITEM_VECTORS, made.day)
    assert report["item_vectors"]["rows"] == len(rows)
    shown = {row["product_id"] for row in read(made.lake, PRODUCTS, made.day) if row["recommendable"]}
    assert {row["product_id"] for row in rows} == shown
    by_kind = {
        kind: [row["vector"] for row in rows if row["product_id"].startswith(kind)] for kind in ("fruit", "tools")
    }
    for vector in by_kind["fruit"]:
        assert abs(_dot(vector, vector) - 1) < 1e-5
        own, other = ([_dot(vector, one) for one in by_kind[kind]] for kind in ("fruit", "tools"))
        assert sum(own) / len(own) > sum(other) / len(other)
    vectors.build(made.day, made.settings)
    assert read(made.lake, ITEM_VECTORS, made.day) == rows


def _dot(one, other):
    return sum(a * b for a, b in zip(one, other, strict=True))
