"""Where serving reads from and how long it waits, from the environment."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    redis_url: str
    exposures_secret: SecretStr = Field(min_length=16, max_length=64)
    """Shoppers and sessions are hashed under it in the log of what was shown; the same in every worker."""
    redis_timeout_s: float = Field(default=0.05, gt=0)
    """How long one read may take before the request is answered without Redis."""
    pointer_poll_s: float = Field(default=0.25, gt=0, le=0.5)
    """How often the live pointer is looked at; also how soon an outage is seen to be over."""
    rank_deadline_s: float = Field(default=0.02, ge=0)
    """A request that has taken longer when its reads are there gets its list as published, not put in order."""
