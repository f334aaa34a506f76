"""Where the relay runs: read from the environment."""

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The relay's environment."""

    model_config = SettingsConfigDict(frozen=True)

    DATABASE_URL: str = Field(description="the shop's database, as the commerce core has it")
    REDIS_URL: str = Field(description="the bus: one stream per topic")
