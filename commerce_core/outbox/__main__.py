"""The relay as a process: `python -m commerce_core.outbox`. It may be killed at any time."""

import asyncio

from commerce_core.logs import configure
from commerce_core.outbox.relay import Relay
from commerce_core.outbox.settings import Settings

if __name__ == "__main__":
    configure()
    settings = Settings()
    asyncio.run(Relay(settings.DATABASE_URL, settings.bus()).run())
