"""Brings a database to the newest schema; safe to run again, and from several processes at once."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from commerce_core.db import create_engine
from commerce_core.settings import Settings

# Any fixed number that nothing else locks on: whoever holds it migrates, the others wait and find the work done.
MIGRATION_LOCK = 7_349_021


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def head() -> str:
    """The revision that this code expects."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    assert revision is not None
    return revision


async def _upgrade(database_url: str) -> None:
    def migrate(connection: Connection) -> None:
        connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")

    engine = create_engine(database_url)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(migrate)
    finally:
        await engine.dispose()


def upgrade(database_url: str) -> None:
    """Apply the missing migrations, all or none."""
    asyncio.run(_upgrade(database_url))


if __name__ == "__main__":
    upgrade(Settings().DATABASE_URL)
