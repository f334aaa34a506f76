"""The sweeper's round goes on whatever a step does, and ends when it is told to."""

import asyncio
from contextlib import suppress

from commerce_core.payments.sweep import Sweeper


async def test_a_cancellation_that_a_driver_swallowed_still_ends_it(app, monkeypatch):
    begun = asyncio.Event()

    async def swallowing(_):
        begun.set()
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        return 0

    monkeypatch.setattr(Sweeper, "payments", swallowing)
    task = asyncio.create_task(Sweeper(app.state.transactions, {}).run(0.01))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
