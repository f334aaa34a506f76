import pytest
from pydantic import ValidationError

from commerce_core.settings import Settings


def test_the_token_has_no_default_and_is_long():
    with pytest.raises(ValidationError, match="SERVICE_TOKEN"):
        Settings(DATABASE_URL="postgresql:///shop")
    with pytest.raises(ValidationError, match="at least 16"):
        Settings(DATABASE_URL="postgresql:///shop", SERVICE_TOKEN="short")


def test_the_token_is_not_shown():
    assert "hush" not in repr(Settings(DATABASE_URL="postgresql:///shop", SERVICE_TOKEN="hush" * 4))
