"""What serving writes and what the lake keeps are written apart; here they are held against each other."""

from contracts.exposures import Exposure
from contracts.tables import EXPOSURES


def test_an_exposure_has_the_columns_of_its_table():
    assert ["day", *Exposure.__annotations__] == [column.name for column in EXPOSURES.columns]


def test_only_what_may_be_unknown_may_be_null():
    nullable = {name for name, kind in Exposure.__annotations__.items() if "None" in str(kind)}
    assert nullable == {column.name for column in EXPOSURES.columns if column.nullable}
