"""Where the local stack keeps its data and on which ports it answers, from the environment."""

from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class StackSettings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    data_dir: Path = Path(".data")
    """Databases, lake, models, logs: everything that the stack keeps."""
    port_base: int = Field(default=8400, ge=1024, le=65000)
    """The ports below count from here where they are not set: +0, +1, +2 and +4."""
    core_port: int = 0
    serving_port: int = 0
    mlflow_port: int = 0
    redis_port: int = 0
    serving_workers: int = Field(default=2, ge=1)
    database_url: str = ""
    """A PostgreSQL 18 to use; empty: the embedded one."""
    redis_url: str = ""
    """A Redis to use; empty: the embedded one."""
    service_token: SecretStr = SecretStr("")
    """What the shop asks of other services; empty: generated once and kept."""
    exposures_secret: SecretStr = SecretStr("")
    """Under which serving hashes shoppers in its log; empty: generated once and kept."""
    signing_keys: SecretStr = SecretStr("")
    """What the shop signs access tokens with; empty: generated once and kept."""
    quote_key: SecretStr = SecretStr("")
    """What serving signs price quotes with; empty: generated once and kept."""
    sandbox_secret: SecretStr = SecretStr("")
    """What the bank to play with signs its webhooks with; empty: generated once and kept."""

    @model_validator(mode="before")
    @classmethod
    def _ports_from_base(cls, given: dict[str, object]) -> dict[str, object]:
        base = int(str(given.get("port_base") or 8400))
        offsets = {"core_port": 0, "serving_port": 1, "mlflow_port": 2, "redis_port": 4}
        return {name: base + offset for name, offset in offsets.items()} | given

    @model_validator(mode="after")
    def _ports_differ(self) -> Self:
        ports = [self.core_port, self.serving_port, self.mlflow_port, self.redis_port]
        if len(set(ports)) < len(ports):
            raise ValueError(f"CORE_PORT, SERVING_PORT, MLFLOW_PORT and REDIS_PORT must differ, not {ports}")
        return self

    def environment(self) -> dict[str, str]:
        """The same settings as variables, for a process of ours."""
        values: dict[str, object] = {"data_dir": self.data_dir.resolve()}
        for name, value in self.model_dump(exclude={"data_dir"}).items():
            values[name] = value.get_secret_value() if isinstance(value, SecretStr) else value
        return {name.upper(): str(value) for name, value in values.items() if value != ""}
