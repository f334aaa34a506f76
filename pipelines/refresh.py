"""Between publications: adds what is new in the shop to the live generation, within moments (ADR 0014).

Reads what the shop took in since the generation was made, complete days or not, and keeps nothing of it in the lake, as
the night will. Its cost grows with what is new and with the catalogue, never with shoppers.
"""

import json
from datetime import date

from contracts import keys
from contracts.tables import CATALOG, PRICES
from pipelines import addendum as addenda
from pipelines import lease, publish
from pipelines.generation import PublishError, connect
from pipelines.newcomers import Base, News, addendum
from pipelines.settings import Settings
from pipelines.source import Shop


class NothingLive(PublishError):
    """There is no generation to add to."""


def run(settings: Settings | None = None, known: dict[str, Base] | None = None) -> dict[str, object]:
    """Publish what is new as an addendum to the live generation's base; what is live afterwards.

    With nothing new, nothing changes. `known` remembers the base for whoever calls again.
    """
    settings, known = settings or Settings(), known if known is not None else {}
    client = connect(settings.redis_url)
    live = publish.live_generation(client)
    if live is None:
        raise NothingLive("no generation is live: publish a day first")
    meta = json.loads(client.get(keys.meta_key(live)) or b"null")
    if meta is None:
        raise NothingLive(f"{live} is live, but its keys are gone: publish a day")
    shop, since = Shop.of(settings), date.fromisoformat(meta["as_of"])
    news = News.of(shop.open_rows(CATALOG, since), shop.open_rows(PRICES, since))
    base = keys.base(live)
    if not news and live == base:
        return {"generation": live, "unchanged": True}
    if base not in known:
        known.clear()  # before the next is read: two would need twice the memory
        known[base] = Base.read(client, base, settings)
    made = addendum(known[base], news, client)
    said = {"new": len(made.new), "changed": len(made.changed), "near": len(made.near), "priced": len(made.priced)}
    if meta.get("digest") == made.digest or (live == base and not any(said.values())):
        return {"generation": live, "unchanged": True, **said}
    with lease.held(client) as token:
        if publish.live_generation(client) != live:
            raise PublishError(f"{live} was replaced while it was added to: run refresh again")
        generation = addenda.write(client, token, made, known[base].meta)
        publish.make_live(client, token, generation)
    return {"generation": generation, "unchanged": False, **said}
