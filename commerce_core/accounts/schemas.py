"""Accounts on the wire. Secrets are of a type that shows itself nowhere."""

from datetime import datetime
from typing import Annotated, Literal
from unicodedata import normalize
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, StringConstraints

# What a mailbox is, its answer to our mail says: here only what could be none is kept out, and lines of its header.
_EMAIL = r"^[^@\s\x00-\x20\x7f]+@[^@\s\x00-\x20\x7f]+\.[^@\s\x00-\x20\x7f.]+$"


def _one_spelling(email: str) -> str:
    return normalize("NFC", email).lower()


Email = Annotated[
    str,
    StringConstraints(strip_whitespace=True, max_length=254, pattern=_EMAIL),
    AfterValidator(_one_spelling),
    Field(examples=["ada@example.com"]),
]
Line = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")
]
NewPassword = Annotated[SecretStr, Field(min_length=10, max_length=200, description="10 characters or more, any")]
Password = Annotated[SecretStr, Field(min_length=1, max_length=200)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=200)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


# --- beginning --------------------------------------------------------------------------------------------------------


class MailboxBody(Body):
    """The mailbox that a mail is to go to."""

    email: Email


class MailedBody(Body):
    """The token that was mailed, and the password that is to hold."""

    token: Secret
    password: NewPassword


class LoginBody(Body):
    email: Email
    password: Password


class RefreshBody(Body):
    """A session's newest refresh token."""

    refresh_token: Secret


class OidcBody(Body):
    """What came back from the provider's page, and what the page was asked with (RFC 7636, OpenID Connect Core 3.1)."""

    code: Annotated[SecretStr, Field(min_length=1, max_length=4000)]
    code_verifier: Annotated[
        SecretStr, Field(min_length=43, max_length=128, description="its SHA-256 was the challenge")
    ]
    nonce: Annotated[SecretStr, Field(min_length=16, max_length=200, description="made for this one login")]
    redirect_uri: Annotated[str, StringConstraints(min_length=1, max_length=2000)]


class TokenPair(BaseModel):
    """Show the access token with every request, and trade the refresh token for new ones when that has run out."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int = Field(description="seconds that the access token is good for", examples=[600])
    refresh_token: str = Field(description="good once: each answer brings the next")


class Asked(BaseModel):
    """The same for every mailbox, whoever's it is."""

    message: str = "if this is a mailbox of yours, a mail is on its way to it"


class Jwks(BaseModel):
    """Public keys of access tokens (RFC 7517)."""

    keys: list[dict[str, str]]


# --- mails ------------------------------------------------------------------------------------------------------------


class Mail(BaseModel):
    """A mail to send: to whom, which text, and the token for its link."""

    email: str
    template: Literal["confirm", "known", "reset"] = Field(
        description="confirm, reset: choose a password, with the token; known: there is an account already"
    )
    token: str | None = Field(description="for POST /register/confirm or POST /password/reset/confirm")


class Written(BaseModel):
    """That a mail was written, as the audit trail has it: neither to whom nor with what."""

    template: str


class Roles(BaseModel):
    """What a member of staff may do."""

    roles: list[str]


# --- me ---------------------------------------------------------------------------------------------------------------


class Me(BaseModel):
    """Who is logged in."""

    user_id: UUID
    email: str | None = Field(description="null when the provider of the login vouches for none")
    name: str | None
    roles: list[str] = Field(description="what they may do beyond what every customer may")
    has_password: bool
    created_at: datetime


class MeBody(Body):
    """What changes; what is left out stays."""

    name: Line | None = None


class PasswordBody(Body):
    current_password: Password
    new_password: NewPassword


class AddressBody(Body):
    """Where things are sent."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "example": {
                "name": "Ada Byron",
                "line1": "12 St James's Square",
                "city": "London",
                "postal_code": "SW1Y 4JH",
                "country": "GB",
            }
        },
    )

    name: Line = Field(description="who receives it")
    line1: Line
    line2: Line | None = None
    city: Line
    region: Line | None = None
    postal_code: Annotated[Line, StringConstraints(max_length=20)] | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] = Field(description="ISO 3166-1, two letters")
    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9 ()/.-]{3,30}$")] | None = None


class AddressDetail(AddressBody):
    address_id: UUID


class Addresses(BaseModel):
    """All of a customer's, in the order of their entry."""

    items: list[AddressDetail]
