"""Where the relay and the shop's consumers run: read from the environment."""

from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from commerce_core.outbox.bus import Bus, RedisStreams, Several


class Settings(BaseSettings):
    """The relay's environment, and the consumers'."""

    model_config = SettingsConfigDict(frozen=True)

    DATABASE_URL: str = Field(description="the shop's database, as the commerce core has it")
    REDIS_URL: str = Field(default="", description="one stream per topic; not needed when the bus is SNS alone")
    EVENT_BUS: Literal["redis", "sns", "redis+sns"] = Field(
        default="redis", description="the shop's own consumers follow SNS when it is among them"
    )
    EVENT_PREFIX: str = Field(
        default="shelfwise", pattern=r"^[A-Za-z0-9_-]{1,40}$", description="what topics and queues at AWS begin with"
    )

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if "redis" in self.EVENT_BUS and not self.REDIS_URL:
            raise ValueError(f"EVENT_BUS={self.EVENT_BUS} needs REDIS_URL")
        return self

    def bus(self) -> Bus:
        """Where the relay publishes."""
        buses: list[Bus] = []
        if "redis" in self.EVENT_BUS:
            buses.append(RedisStreams(self.REDIS_URL))
        if "sns" in self.EVENT_BUS:
            from commerce_core.outbox.sns import SnsTopics  # boto3 is slow to load, and needed by nobody else

            buses.append(SnsTopics(self.EVENT_PREFIX))
        return buses[0] if len(buses) == 1 else Several(*buses)
