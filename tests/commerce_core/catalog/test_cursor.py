import base64
import json
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commerce_core.catalog.cursor import BadCursor, Cursor, decode, encode, question

ASKED = question("food", None, "name")
TEXTS = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]))
KEYS = TEXTS | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)


@given(KEYS, st.uuids())
def test_what_was_written_is_read(key, product_id):
    word = encode(Cursor(key, product_id), ASKED)
    assert decode(word, ASKED, type(key)) == Cursor(key, product_id)


@given(st.text())
def test_any_other_word_is_refused(word):
    with pytest.raises(BadCursor):
        decode(word, ASKED, str)


@given(st.recursive(st.none() | st.booleans() | KEYS | st.just(ASKED), st.lists, max_leaves=5))
def test_any_other_content_is_refused(content):
    word = base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")
    with pytest.raises(BadCursor):
        decode(word, ASKED, str)


@pytest.mark.parametrize("key", ["\x00", "\ud800", 2**63, -(2**63) - 1, float("nan"), float("inf")])
def test_keys_that_the_database_cannot_hold_are_refused(key):
    content = json.dumps([ASKED, key, UUID(int=1).hex])
    with pytest.raises(BadCursor):
        decode(base64.urlsafe_b64encode(content.encode()).decode(), ASKED, type(key))


@given(KEYS, st.uuids())
def test_a_cursor_is_good_for_its_question_only(key, product_id):
    word = encode(Cursor(key, product_id), ASKED)
    with pytest.raises(BadCursor, match="another category"):
        decode(word, question("food", "tea", "name"), type(key))
    with pytest.raises(BadCursor):
        decode(word, ASKED, bytes)


def test_questions_are_told_apart():
    assert question("a", None) != question(None, "a")
    assert question("a", "b") != question("ab", "")
