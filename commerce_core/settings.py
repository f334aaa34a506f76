"""Where the shop runs: read from the environment, built once by whoever starts it and passed down."""

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The commerce core's environment."""

    model_config = SettingsConfigDict(frozen=True)

    DATABASE_URL: str = Field(description="any libpq URL, a unix socket too: postgresql:///shop?host=/run/pg&user=shop")
    SERVICE_TOKEN: SecretStr = Field(min_length=16, description="what other services show to read exports and orders")
    TRANSACTION_TIMEOUT_S: int = Field(default=30, ge=1, description="the database ends longer transactions")
    EXPORT_GRACE_S: int = Field(default=60, ge=0, description="wait after that until a day counts as complete")
    DB_POOL_SIZE: int = Field(default=10, ge=1, description="connections kept for requests")
