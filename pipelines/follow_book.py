"""Publishes the shop's price book whenever another version holds there: `python -m pipelines.follow_book`.

It asks the shop every LOOK_S which version holds and compares that with Redis: what it misses while it is down, it
finds when it is up, and a Redis that was emptied gets its book again. When the bus says that the shop took something
in, it looks for prices that were set by hand, every AMEND_S at most. A process beside follow_catalog, since a refresh
takes many seconds and a price should not wait for it. It keeps the rules too (keep_rules), likewise for Redis may be
emptied.
"""

import logging
import time
from typing import Any

from contracts import catalog
from pipelines import publish_book
from pipelines.generation import Client, connect
from pipelines.keep_rules import Keeper
from pipelines.lake import Lake
from pipelines.settings import Settings
from pipelines.source import Shop

log = logging.getLogger(__name__)

LOOK_S = 1.0
AMEND_S = 5.0
RETRY_S = 5.0


class Follower:
    """What was published last, and when; `look` publishes when anything is another."""

    def __init__(self, settings: Settings, client: Client) -> None:
        self._settings, self._client, self._shop = settings, client, Shop.of(settings)
        self._taken_in: bytes | None = None  # the bus' last word of the catalogue when we published
        self._published = -AMEND_S

    def look(self) -> None:
        """Publish what holds, unless it is there."""
        version = self._shop.live_book()
        if version is None:
            return
        last: Any = self._client.xrevrange(catalog.CATALOG_STREAM, count=1)
        taken_in = last[0][0] if last else None
        began = time.monotonic()
        amended = taken_in != self._taken_in and began - self._published >= AMEND_S
        if amended or not publish_book.stands(self._client, version):
            report = publish_book.run(self._settings, self._client)
            log.info("in %.1f s: %s", time.monotonic() - began, report)
            self._taken_in, self._published = taken_in, began


def follow(settings: Settings, client: Client) -> None:
    """For ever, through restarts of the shop and of Redis."""
    looks = {"rules": Keeper(Lake(settings.lake_uri), client).look, "price book": Follower(settings, client).look}
    said = dict.fromkeys(looks, "")
    while True:
        for what, look in looks.items():
            try:
                look()
                said[what] = ""
            except Exception as error:  # of the shop, Redis or the lake: each may be away for a while
                if said[what] != (told := f"{type(error).__name__}: {error}"):
                    log.warning("%s: not followed: %s", what, told)
                said[what] = told
        time.sleep(RETRY_S if any(said.values()) else LOOK_S)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each look otherwise
    environment = Settings()
    follow(environment, connect(environment.redis_url))
