"""The Complete Journey's labels, before and after."""

import pytest

from shelfwise.load.labels import readable, readable_size


@pytest.mark.parametrize(
    ("label", "plain"),
    [
        ("ICE - CRUSHED/CUBED", "Ice Crushed/Cubed"),
        ("FRZN ICE", "Frozen Ice"),
        ("BREAD:ITALIAN/FRENCH", "Bread: Italian/French"),
        ("SFT DRNK MISC BTL (ANY BTL NOT", "Soft Drink Miscellaneous Bottle"),
        ("FM-MLB", "FM-MLB"),
        ("DRUG GM", "Drug and General Merchandise"),
        ("AUTHENTIC DRY BEVERAGES W/O SW", "Authentic Dry Beverages"),
    ],
)
def test_a_label_reads_like_words(label, plain):
    assert readable([label]) == {label: plain}


def test_a_cut_word_is_ended_as_other_labels_end_it():
    assert readable(["FRZN BREAKFAST ENTREES/SANDWIC", "SANDWICHES"])["FRZN BREAKFAST ENTREES/SANDWIC"] == (
        "Frozen Breakfast Entrees/Sandwiches"
    )


@pytest.mark.parametrize(
    ("size", "plain"),
    [
        ("22 LB", "22 lb"),
        ("48    OZ", "48 oz"),
        ("1.5 L", "1.5 L"),
        ("228635 5 PK", "5 pk"),
        ("P     5 OZ", "5 oz"),
        ("971697  PK", None),
        ("HALF GAL", "half gal"),
    ],
)
def test_a_size_reads_as_on_the_shelf(size, plain):
    assert readable_size(size) == plain
