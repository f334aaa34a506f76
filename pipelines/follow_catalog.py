"""Refreshes the live generation whenever the shop took something in: `python -m pipelines.follow_catalog`.

It looks at the end of the stream and at the live pointer; what it misses while it is down, it finds when it is up: a
refresh reads all that is new. Between two refreshes lie at least EVERY_S, so a bulk change is a few of them. A shop
that was only loaded, and never took anything in by its door, is left as it was published.
"""

import logging
import time
from typing import TYPE_CHECKING, Any, NamedTuple

import redis

from contracts import catalog, keys
from pipelines.settings import Settings

if TYPE_CHECKING:
    from pipelines.newcomers import Base

log = logging.getLogger(__name__)

LOOK_S = 0.25
EVERY_S = 5.0
RETRY_S = 5.0
TIMEOUT_S = 5.0


class Seen(NamedTuple):
    """Where the world stood: the last entry of the stream, and the base that is live."""

    entry: bytes | None
    base: str | None

    @property
    def something(self) -> bool:
        """Was anything taken in, and is there a base to add it to?"""
        return self.entry is not None and self.base is not None


def seen(client: redis.Redis) -> Seen:
    last: Any = client.xrevrange(catalog.CATALOG_STREAM, count=1)
    live: Any = client.get(keys.LIVE)
    return Seen(last[0][0] if last else None, keys.base(live.decode()) if live else None)


def follow(settings: Settings) -> None:
    """For ever, through restarts of whatever it needs."""
    client = redis.Redis.from_url(settings.redis_url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
    known: dict[str, Base] = {}
    done = None
    while True:
        try:
            now = seen(client)
            if now == done or not now.something:
                time.sleep(LOOK_S)
                continue
            from pipelines import refresh  # brings much with it, which a shop at rest does without

            began = time.monotonic()
            report = refresh.run(settings, known)
            done = now
            log.info("refreshed in %.1f s: %s", time.monotonic() - began, report)
            time.sleep(max(LOOK_S, began + EVERY_S - time.monotonic()))
        except Exception as error:  # of the shop, Redis, MLflow or the lake: each may be away for a while
            log.warning("not refreshed: %s: %s", type(error).__name__, error)
            time.sleep(RETRY_S)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    follow(Settings())
