"""Where the steps run: the lake, the shop, Redis, MLflow and Spark, from the environment."""

from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    lake_uri: str
    """Folder or s3:// address under which the lake's tables lie."""
    core_url: str
    """Address of the commerce core, whose export door feeds the lake."""
    service_token: SecretStr
    redis_url: str
    mlflow_tracking_uri: str
    spark_master: str = "local[2]"
    spark_driver_memory: str = "2g"
    ranker_windows: int | None = None
    """Instead of conf/models.toml's [ranker] windows: fewer are learned from in less time."""
