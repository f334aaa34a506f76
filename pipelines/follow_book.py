"""Publishes the shop's price book whenever another version holds there: `python -m pipelines.follow_book`.

It asks the shop every LOOK_S which version holds and compares that with Redis: what it misses while it is down, it
finds when it is up, and a Redis that was emptied gets its book again. A process beside follow_catalog, since a refresh
takes many seconds and a price should not wait for it.
"""

import logging
import time

from pipelines import publish_book
from pipelines.generation import Client, connect
from pipelines.settings import Settings
from pipelines.source import Shop

log = logging.getLogger(__name__)

LOOK_S = 1.0
RETRY_S = 5.0


def follow(settings: Settings, client: Client) -> None:
    """For ever, through restarts of the shop and of Redis."""
    shop, said = Shop.of(settings), ""
    while True:
        pause = LOOK_S
        try:
            began, version = time.monotonic(), shop.live_book()
            if version is not None and not publish_book.stands(client, version):
                report = publish_book.run(settings, client)
                log.info("in %.1f s: %s", time.monotonic() - began, report)
            said = ""
        except Exception as error:  # of the shop or of Redis: each may be away for a while
            if said != (said := f"{type(error).__name__}: {error}"):
                log.warning("the price book is not followed: %s", said)
            pause = RETRY_S
        time.sleep(pause)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    environment = Settings()
    follow(environment, connect(environment.redis_url))
