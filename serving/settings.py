"""Where serving reads from and how long it waits, from the environment."""

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from serving.signing import Signer


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    redis_url: str
    exposures_secret: SecretStr = Field(min_length=16, max_length=64)
    """Shoppers and sessions are hashed under it in the log of what was shown; the same in every worker."""
    redis_timeout_s: float = Field(default=0.05, gt=0)
    """How long one read may take before the request is answered without Redis."""
    pointer_poll_s: float = Field(default=0.25, gt=0, le=0.5)
    """How often the live pointer is looked at; also how soon an outage is seen to be over."""
    rank_deadline_s: float = Field(default=0.02, ge=0)
    """A request that has taken longer when its reads are there gets its list as published, not put in order."""
    quote_key: SecretStr = SecretStr("")
    """`kid:seed`, an Ed25519 seed in base64url, the same in every worker: price quotes are signed with it. Without it
    there are none."""
    quote_lasts_s: int = Field(default=1_800, ge=60, le=86_400)
    """How long a quote is honoured."""

    @field_validator("quote_key")
    @classmethod
    def _is_one(cls, given: SecretStr) -> SecretStr:
        if word := given.get_secret_value():
            Signer.of(word)
        return given

    @property
    def signer(self) -> Signer | None:
        """Signs quotes, when there is a key."""
        word = self.quote_key.get_secret_value()
        return Signer.of(word) if word else None
