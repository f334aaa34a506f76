import pytest
from pydantic import ValidationError

from commerce_core.settings import Settings

NEEDED = {
    "DATABASE_URL": "postgresql:///shop", "SERVICE_TOKEN": "hush" * 4, "SIGNING_KEYS": f"new:{'A' * 43},old:{'B' * 42}A"
}  # fmt: skip


@pytest.mark.parametrize("secret", ["SERVICE_TOKEN", "SIGNING_KEYS"])
def test_secrets_have_no_default(secret):
    with pytest.raises(ValidationError, match=secret):
        Settings(**{name: value for name, value in NEEDED.items() if name != secret})


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [
        ("SERVICE_TOKEN", "short", "at least 16"),
        ("SIGNING_KEYS", "", "kid:seed"),
        ("SIGNING_KEYS", "A" * 43, "kid:seed"),
        ("SIGNING_KEYS", f"new:{'A' * 42}", "32 bytes"),
        ("SIGNING_KEYS", f"new:{'!' * 43}", "32 bytes"),
        ("SIGNING_KEYS", f"new:{'A' * 43},new:{'B' * 42}A", "kid:seed"),
        ("OIDC_ISSUER", "https://issuer", "go together"),
        ("SELLER_NAME", "Soap & Sons", "go together"),
        ("ARGON2_MEMORY_KIB", "31", "greater than or equal to 32"),
    ],
)
def test_what_cannot_work_is_refused(setting, value, said):
    with pytest.raises(ValidationError, match=said) as refused:
        Settings(**NEEDED | {setting: value})
    assert "hush" not in str(refused.value)
    assert "AAAA" not in str(refused.value)


def test_secrets_are_not_shown():
    shown = repr(Settings(**NEEDED))
    assert "hush" not in shown
    assert "AAAA" not in shown
