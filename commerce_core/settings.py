"""Where the shop runs: read from the environment, built once by whoever starts it and passed down."""

from datetime import timedelta
from typing import Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from commerce_core.accounts import passwords
from commerce_core.accounts.tokens import signing_keys
from commerce_core.invoices.schemas import Seller
from commerce_core.pricebooks.limits import PriceLimits


class Settings(PriceLimits, BaseSettings):
    """The commerce core's environment."""

    model_config = SettingsConfigDict(frozen=True, hide_input_in_errors=True)  # secrets are among it

    DATABASE_URL: str = Field(description="any libpq URL, a unix socket too: postgresql:///shop?host=/run/pg&user=shop")
    SERVICE_TOKEN: SecretStr = Field(min_length=16, description="what other services show to read exports and orders")
    SIGNING_KEYS: SecretStr = Field(
        description="kid:seed,…: Ed25519 seeds in base64url; the first signs, all are accepted"
    )
    TOKEN_ISSUER: str = Field(
        default="shelfwise", min_length=1, description="`iss` of access tokens; each shop its own"
    )
    ACCESS_TOKEN_S: int = Field(default=600, ge=1, le=3600, description="how long what a token says may be out of date")
    ARGON2_MEMORY_KIB: int = Field(default=passwords.MEMORY_KIB, ge=8 * passwords.LANES)
    ARGON2_PASSES: int = Field(default=passwords.PASSES, ge=1)
    OIDC_ISSUER: str = Field(default="", description="whose logins are taken too; empty: nobody's")
    OIDC_CLIENT_ID: str = Field(default="", description="who we are to it")
    OIDC_CLIENT_SECRET: SecretStr = SecretStr("")
    OIDC_TOKEN_URL: str = Field(default="", description="where codes are traded for ID tokens")
    OIDC_JWKS_URL: str = Field(default="", description="where its public keys are")
    TRANSACTION_TIMEOUT_S: int = Field(default=30, ge=1, description="the database ends longer transactions")
    EXPORT_GRACE_S: int = Field(default=60, ge=0, description="wait after that until a day counts as complete")
    DB_POOL_SIZE: int = Field(default=10, ge=1, description="connections kept for requests")
    HOLD_S: int = Field(default=900, ge=60, description="how long an order's goods are held until it is paid")
    SWEEP_S: float = Field(default=1.0, ge=0, description="how often to finish what others left half done; 0: never")
    QUOTE_KEYS: dict[str, str] = Field(default={}, description="public keys of price quotes: JSON, PEM by key id")
    SANDBOX_SECRET: SecretStr | None = Field(
        default=None, min_length=16, description="signs the sandbox's webhooks; without it there is no sandbox"
    )
    STRIPE_SECRET_KEY: SecretStr | None = Field(default=None, min_length=8, description="without it there is no Stripe")
    STRIPE_WEBHOOK_SECRET: SecretStr | None = Field(default=None, min_length=8, description="goes with it")
    STRIPE_API_BASE: str = Field(default="https://api.stripe.com", description="another one for tests")
    RAZORPAY_KEY_ID: str | None = Field(default=None, min_length=1, description="without it there is no Razorpay")
    RAZORPAY_KEY_SECRET: SecretStr | None = Field(default=None, min_length=8, description="goes with it")
    RAZORPAY_WEBHOOK_SECRET: SecretStr | None = Field(default=None, min_length=8, description="goes with them")

    SELLER_NAME: str = Field(default="", description="who sells, on invoices; empty: none are issued")
    SELLER_ADDRESS: str = Field(default="", description="goes with it")
    SELLER_TAX_ID: str = Field(default="", description="goes with them; each has invoice numbers of its own")
    INVOICE_FONT: str = Field(default="", description="a TrueType file for letters beyond Latin-1; empty: DejaVu Sans")

    @property
    def seller(self) -> Seller | None:
        """Who issues invoices."""
        name, address, tax_id = self.SELLER_NAME, self.SELLER_ADDRESS, self.SELLER_TAX_ID
        return Seller(name=name, address=address, tax_id=tax_id) if name else None

    @property
    def own_names(self) -> list[str]:
        """Under which names an offer is our own."""
        return [self.SELLER_NAME, *self.PRICE_OWN_NAMES]

    @property
    def held_for(self) -> timedelta:
        return timedelta(seconds=self.HOLD_S)

    @field_validator("SIGNING_KEYS")
    @classmethod
    def _keys(cls, given: SecretStr) -> SecretStr:
        signing_keys(given.get_secret_value())
        return given

    @model_validator(mode="after")
    def _provider_is_whole(self) -> Self:
        secret = self.OIDC_CLIENT_SECRET.get_secret_value()
        given = (self.OIDC_ISSUER, self.OIDC_CLIENT_ID, secret, self.OIDC_TOKEN_URL, self.OIDC_JWKS_URL)
        if any(given) and not all(given):
            raise ValueError("OIDC_ISSUER, _CLIENT_ID, _CLIENT_SECRET, _TOKEN_URL and _JWKS_URL go together")
        return self

    @model_validator(mode="after")
    def _seller_is_whole(self) -> Self:
        given = (self.SELLER_NAME, self.SELLER_ADDRESS, self.SELLER_TAX_ID)
        if any(given) and not all(given):
            raise ValueError("SELLER_NAME, SELLER_ADDRESS and SELLER_TAX_ID go together")
        return self
