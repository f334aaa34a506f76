from models import peers
from tests.models.shop import catalogue, recommender, shoppers


def test_personal_frequency_breaks_ties_by_popularity_and_fills_up_with_it():
    model = recommender(catalogue([9, 8, 7, 6, 5]))
    people = shoppers([[0, 0, 2, 5, 2]])
    lists = peers.lists(peers.scores(model, people), people)
    assert lists["next"]["personal_frequency"].tolist() == [[3, 2, 4, 0, 1]]
    assert lists["next"]["popularity"].tolist() == [[0, 1, 2, 3, 4]]
    assert lists["discover"]["popularity"][0, :2].tolist() == [0, 1]
    assert "personal_frequency" not in lists["discover"]
