import pytest

from contracts.tables import NEIGHBOURS, POPULAR, SLOTS, USER_LISTS, USER_PRODUCT
from pipelines import lists, vectors
from pipelines.tracking import CHALLENGER, NoModel
from tests.pipelines.small_night import read


def test_every_shopper_has_every_list_and_the_lists_keep_their_promises(night):
    made, reports = night
    rows = read(made.lake, USER_LISTS, made.day)
    assert len(rows) == reports["pipelines.lists"]["user_lists"]["rows"] == 24 * len(SLOTS)
    bought: dict[str, set[str]] = {}
    for row in read(made.lake, USER_PRODUCT, made.day):
        bought.setdefault(row["user_id"], set()).add(row["product_id"])
    for row in rows:
        shown, own = row["product_ids"], bought[row["user_id"]]
        assert len(shown) == len(set(shown)) == len(row["scores"]) == len(row["sources"]) == len(row["because"])
        assert "fuel" not in shown
        assert row["scores"] == sorted(row["scores"], reverse=True)
        if row["slot"] == "discover":
            assert not own & set(shown)
        if row["slot"] == "buy_again":
            assert set(shown) == own
            assert row["because"] == shown
        assert set(row["because"]) <= own | {""}


def test_what_is_recommended_first_is_of_the_shoppers_own_kind_and_explained_by_it(night):
    made, _ = night
    bought: dict[str, set[str]] = {}
    for row in read(made.lake, USER_PRODUCT, made.day):
        bought.setdefault(row["user_id"], set()).add(row["product_id"])
    right = []
    for row in read(made.lake, USER_LISTS, made.day):
        kind = "fruit" if int(row["user_id"][-2:]) % 2 == 0 else "tools"
        if row["slot"] != "discover" or len(bought[row["user_id"]]) < 9:  # there is something of their kind to discover
            right.append(row["product_ids"][0].startswith(kind))
            assert row["because"][0] == "" or row["because"][0].startswith(kind)
    assert len(right) > 2 * 24
    assert sum(right) >= 0.9 * len(right)


def test_a_product_that_nobody_bought_has_neighbours_by_its_text(night):
    made, _ = night
    neighbours = {row["product_id"]: row for row in read(made.lake, NEIGHBOURS, made.day)}
    new = neighbours["fruit-new"]
    assert all(product.startswith("fruit") for product in new["product_ids"][:5])
    assert set(new["sources"]) == {"content"}
    assert all(product not in row["product_ids"] for product, row in neighbours.items())
    assert all(0 <= score <= 1 for row in neighbours.values() for score in row["scores"])


def test_what_is_popular_is_told_of_all_of_each_channel_and_of_each_category(night):
    made, _ = night
    popular = {row["scope"]: row for row in read(made.lake, POPULAR, made.day)}
    assert {"all", "channel:store-0", "channel:store-1", "category:fruit", "category:tools"} <= popular.keys()
    assert all(product.startswith("fruit") for product in popular["category:fruit"]["product_ids"])
    assert popular["channel:store-0"]["product_ids"][0].startswith("fruit")
    assert popular["channel:store-1"]["product_ids"][0].startswith("tools")
    assert all(row["scores"] == sorted(row["scores"], reverse=True) for row in popular.values())


def test_building_again_gives_the_same_rows(night):
    made, _ = night
    before = [read(made.lake, table, made.day) for table in (USER_LISTS, NEIGHBOURS, POPULAR)]
    lists.build(made.day, made.settings)
    assert [read(made.lake, table, made.day) for table in (USER_LISTS, NEIGHBOURS, POPULAR)] == before


@pytest.mark.parametrize("mart", [lists, vectors])
def test_marts_are_made_by_the_version_that_challenges(night, mart):
    made, _ = night
    with pytest.raises(NoModel, match="recommender has no challenger"):
        mart.build(made.day, made.settings, CHALLENGER)
