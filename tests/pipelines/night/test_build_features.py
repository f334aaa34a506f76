from datetime import timedelta

from contracts.tables import BOUGHT_TOGETHER, CHANNEL_PRODUCT, INTERACTIONS, ORDERS, PRODUCTS, TRENDING, USER_PRODUCT
from pipelines import build_features
from pipelines.build_features import outdated
from tests.pipelines.small_night import fill, put, read


def test_every_day_becomes_interactions_and_the_last_one_snapshots(night):
    made, reports = night
    report = reports["pipelines.build_features"]
    lake = made.lake
    assert report["interactions"]["days"] == 100
    assert lake.days(INTERACTIONS) == lake.days(ORDERS)
    lines = lake.arrow(ORDERS).to_pylist()
    assert report["interactions"]["rows"] == sum(line["product_id"] != "fuel" for line in lines)
    for table in (PRODUCTS, USER_PRODUCT, CHANNEL_PRODUCT, TRENDING, BOUGHT_TOGETHER):
        assert lake.days(table) == {made.day}
        assert len(read(lake, table, made.day)) == report[table.name]["rows"]


def test_what_is_bought_together_is_of_one_kind_and_no_fuel(night):
    made, _ = night
    beside = read(made.lake, BOUGHT_TOGETHER, made.day)
    assert beside
    assert all({other[:5] for other in row["product_ids"]} == {row["product_id"][:5]} for row in beside)


def test_only_missing_and_changed_days_are_made_again_and_a_rerun_gives_the_same(spark, tmp_path):
    night = fill(tmp_path, days=6, users=4)
    first = build_features.run(night.day, night.settings)
    before = {table: night.lake.arrow(table).to_pylist() for table in (INTERACTIONS, USER_PRODUCT, PRODUCTS)}
    assert outdated(night.lake, night.day) == []
    again = build_features.run(night.day, night.settings)
    assert (first["interactions"]["days"], again["interactions"]["days"]) == (6, 0)
    assert {table: night.lake.arrow(table).to_pylist() for table in before} == before

    changed = night.day - timedelta(days=2)
    put(night.lake, ORDERS, read(night.lake, ORDERS, changed)[:1])
    assert outdated(night.lake, night.day) == [changed]
    assert outdated(night.lake, changed - timedelta(days=1)) == []
    put(night.lake, ORDERS, [], days=[night.day])
    assert outdated(night.lake, night.day) == [changed, night.day]
    build_features.run(night.day, night.settings)
    assert outdated(night.lake, night.day) == []
    assert night.lake.days(INTERACTIONS) == night.lake.days(ORDERS)
