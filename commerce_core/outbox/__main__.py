"""The relay as a process: `python -m commerce_core.outbox`."""

import asyncio
import signal
from contextlib import suppress

from commerce_core.logs import configure
from commerce_core.outbox.bus import RedisStreams
from commerce_core.outbox.relay import Relay
from commerce_core.outbox.settings import Settings


async def main() -> None:
    """Carry until asked to stop."""
    settings = Settings()
    bus = RedisStreams(settings.REDIS_URL)
    carrying = asyncio.create_task(Relay(settings.DATABASE_URL, bus).run())
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, carrying.cancel)
    try:
        with suppress(asyncio.CancelledError):
            await carrying
    finally:
        await bus.close()


if __name__ == "__main__":
    configure()
    asyncio.run(main())
