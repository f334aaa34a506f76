"""A shop that brings its own files: other ids, other categories, no prices, no clicks, through to recommendations."""

from datetime import date

import httpx
import pytest

from tests.e2e import own_shop

LAST_DAY = date(2026, 3, 28)


def catalogue(shelfwise):
    """Category of each product that the shop shows, page by page."""
    found, query = {}, {"limit": 10}
    while query:
        page = httpx.get(shelfwise.env["CORE_URL"] + "/products", params=query).raise_for_status().json()
        found |= {item["product_id"]: item["category"] for item in page["items"]}
        query = page["next_cursor"] and {"limit": 10, "cursor": page["next_cursor"]}
    return found


def test_a_broken_file_changes_nothing_and_says_why(shelfwise, tmp_path):
    _, products = own_shop.write(tmp_path, LAST_DAY)
    broken = tmp_path / "broken.csv"
    broken.write_text(
        "order_id,user_id,product_id,quantity,ordered_at\n1,anna,001,1,2026-03-01\n2,berta,001,minus one,2026-03-01\n"
    )
    done = shelfwise.run("load", "files", "--orders", str(broken), "--products", str(products))
    assert done.returncode == 1
    for said in ("broken.csv", "row 3", "minus one", "quantity"):
        assert said in done.stderr
    assert catalogue(shelfwise) == {}


@pytest.fixture(scope="module")
def published(shelfwise, tmp_path_factory):
    orders, products = own_shop.write(tmp_path_factory.mktemp("own"), LAST_DAY)
    shelfwise("load", "files", "--orders", str(orders), "--products", str(products), "--source", "own")
    shelfwise("backfill")
    return shelfwise("run", "day", "--day", str(LAST_DAY))


def test_shoppers_are_recommended_what_their_camp_buys(shelfwise, published):
    categories = catalogue(shelfwise)
    assert len(categories) == 2 * own_shop.PRODUCTS_EACH
    shown = {camp: set() for camp in own_shop.CAMPS}
    for camp, category in own_shop.CAMPS.items():
        for number in range(own_shop.SHOPPERS_EACH):
            user_id = own_shop.shop_user_id(camp, number)
            shelf = shelfwise.ask(f"/users/{user_id}/recommendations", slot="buy_again", k=5)
            assert shelf["source"] == "personal"
            assert not shelf["degraded"]
            shown[camp] |= {categories[item["product_id"]] for item in shelf["items"]}
        assert shown[camp] == {category}


def test_discovery_stays_in_the_camp_and_shows_nothing_bought_before(shelfwise, published):
    categories = catalogue(shelfwise)
    user_id = own_shop.shop_user_id("reader", 0)
    known = {
        item["product_id"]
        for item in shelfwise.ask(f"/users/{user_id}/recommendations", slot="buy_again", k=50)["items"]
    }
    discovered = [
        item["product_id"]
        for item in shelfwise.ask(f"/users/{user_id}/recommendations", slot="discover", k=50)["items"]
    ]
    assert not known & set(discovered)
    others = [product for product, category in categories.items() if category == own_shop.CAMPS["reader"]]
    left = set(others) - known
    assert set(discovered[: len(left)]) == left


def test_without_prices_there_is_no_price_and_no_error(shelfwise, published):
    price = shelfwise.ask(f"/products/{next(iter(catalogue(shelfwise)))}/price")
    assert price["price_minor"] is None
    assert price["source"] == "none"
