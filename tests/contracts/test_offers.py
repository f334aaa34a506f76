"""What serving answers of an offer is what the step writes of it."""

from typing import get_type_hints

from contracts import offers
from contracts.raw import FUNDINGS
from serving import schemas


def test_serving_tells_all_that_is_published_of_an_offer_and_that_it_is_personal():
    published, told = get_type_hints(offers.Offer), schemas.Offer.model_fields
    assert told.keys() == published.keys() | {"personalised"}
    assert {name: told[name].annotation for name in published} == published


def test_who_pays_is_one_of_those_that_the_lake_knows():
    assert offers.Funding.__args__ == FUNDINGS
