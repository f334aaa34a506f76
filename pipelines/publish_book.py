"""Send the shop's live price book to Redis as one immutable version, verify it, make it live by a pointer (ADR 0026).

The shop decides which version holds; this only carries it, with what the shop has set by itself since (amendments). It
has no day: what holds there now is sent now, and what Redis still holds becomes live again without being sent.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from contracts import books, keys
from pipelines import amendments, lease
from pipelines.generation import Array, Client, PublishError, connect, uuid_of
from pipelines.settings import Settings
from pipelines.source import Shop, Version

PRICES = ("list_price_minor", "price_minor", "prior_30d_low_minor")


def run(settings: Settings | None = None, client: Client | None = None) -> dict[str, object]:
    """Let the version that holds in the shop be the one that serving answers from; which one that is."""
    settings = settings or Settings()
    client, shop = client or connect(settings.redis_url), Shop.of(settings)
    with lease.held(client, books.LEASE) as token:
        version = shop.live_book()  # asked under the lease: nobody puts an older one in its place
        if version is None:
            return {"version": None, "unchanged": True}
        changes = amendments.since(shop, version)
        name = books.name(*version, amendments.digest(changes))
        before = live(client)
        if sent := not _is_kept(client, name):
            write(client, name, version, amendments.applied(shop.price_book(version.number), changes))
        make_live(client, token, name)
    unchanged = before == name and not sent
    return {"version": version.number, "amended": changes.num_rows, "unchanged": unchanged, "sent": sent}


def stands(client: Client, version: Version) -> bool:
    """Is it live, amended or not, and are all its keys there? Quick: what is in them is not looked at."""
    name = live(client) or ""
    wanted = _keys(name, _products(client, name))
    return books.unamended(name) == books.name(*version) and client.exists(*wanted) == len(wanted)


def live(client: Client) -> str | None:
    """Name of the version that serving answers from."""
    pointer: bytes | None = client.get(books.LIVE)
    return None if pointer is None else pointer.decode()


def write(client: Client, name: str, version: Version, rows: pa.Table) -> None:
    """All keys of the version under this name, read back before `ready` says that it is whole."""
    records, said = packed(rows)
    bodies = [records[at : at + books.PER_CHUNK].tobytes() for at in range(0, len(records), books.PER_CHUNK)]
    digest = books.digest(bodies)
    about = {"version": version.number, "published_at": version.published_at, "products": len(records)}
    meta = books.encode_meta({**about, "digest": digest, "said": said})
    client.delete(books.ready_key(name))
    for key, body in zip(books.chunk_keys(name, len(records)), bodies, strict=True):
        client.set(key, keys.sealed(body), ex=books.KEPT_S)
    client.set(books.meta_key(name), meta, ex=books.KEPT_S)
    if not _is_whole(client, name, digest):
        raise PublishError(f"price book {name}: Redis holds something else than was written")
    client.set(books.ready_key(name), digest, ex=books.KEPT_S)


def packed(rows: pa.Table) -> tuple[NDArray[np.void], list[tuple[str, list[str], str | None]]]:
    """The rows as records in order of their product, and what the records' `said` stands for.

    In: contracts.books.PRICE_BOOK. PublishError when a row is not what a price may be.
    """
    refuse_faults(rows)
    places: dict[tuple[str, tuple[str, ...], str | None], int] = {}
    told = zip(*(rows[name].to_pylist() for name in ("currency", "reasons", "binding")), strict=True)
    records = np.zeros(rows.num_rows, dtype=np.dtype(list(books.RECORD)))
    records["product"] = [uuid_of(str(text)) for text in rows["product_id"].to_pylist()]
    records["said"] = [places.setdefault((currency, tuple(why), by), len(places)) for currency, why, by in told]
    for name in PRICES:
        column: Array = rows[name]
        records[name] = pc.fill_null(column, books.NO_LOW).to_numpy()
    records["valid_from_us"] = rows["valid_from"].cast(pa.int64()).to_numpy()
    records = records[np.argsort(records["product"])]
    if (records["product"][1:] == records["product"][:-1]).any():
        raise PublishError("the price book has a product twice")
    return records, [(currency, list(why), by) for currency, why, by in places]


def refuse_faults(rows: pa.Table) -> None:
    """PublishError when a row breaks the contract: a price that the shop cannot mean is not published at all."""
    for column in books.PRICE_BOOK.columns:
        values: Array = rows[column.name]
        missing: list[Array] = [] if column.nullable else [pc.is_null(values)]
        too_low: list[Array] = [] if column.low is None else [pc.less(values, pa.scalar(int(column.low), pa.int64()))]
        for broken in missing + too_low:
            if (at := broken.to_pylist()).count(True):
                example = rows["product_id"][at.index(True)]
                raise PublishError(f"the price book breaks its contract: {column.name} of product {example}")


def make_live(client: Client, token: bytes, name: str) -> None:
    """Point at a whole version; refused when the lease was lost. It stays from now on, the one before it goes."""
    before, products = live(client), _products(client, name)
    old = () if before in (None, name) else _keys(str(before), _products(client, str(before)))
    same = books.unamended(str(before)) == books.unamended(name)
    with lease.transaction(client, token, f"price book {name} was not made live", books.LEASE) as pipeline:
        for key in _keys(name, products):
            pipeline.persist(key)
        for key in old:
            pipeline.expire(key, books.AMENDED_S if same else books.KEPT_S)
        pipeline.set(books.LIVE, name)
        pipeline.lrem(books.KEPT, 0, name).lpush(books.KEPT, name).ltrim(books.KEPT, 0, books.KEPT_VERSIONS - 1)


def _keys(name: str, products: int) -> list[bytes]:
    return [*books.chunk_keys(name, products), books.meta_key(name), books.ready_key(name)]


def _products(client: Client, name: str) -> int:
    """How many products a version that Redis holds has; 0 when its meta is not there."""
    try:
        return int(books.decode_meta(client.get(books.meta_key(name)) or b"")["products"])
    except keys.Corrupt:
        return 0


def _is_kept(client: Client, name: str) -> bool:
    """Does Redis still hold it whole? It then does not go while it is made live."""
    if name != live(client):
        with client.pipeline(transaction=False) as pipeline:
            for key in _keys(name, _products(client, name)):
                pipeline.expire(key, books.KEPT_S)
            pipeline.execute()
    return _is_whole(client, name)


def _is_whole(client: Client, name: str, digest: str | None = None) -> bool:
    """Does Redis hold all of the version as it was written? One that was `ready` once has its digest there."""
    meta = client.get(books.meta_key(name)) or b""
    wanted = digest or (client.get(books.ready_key(name)) or b"").decode()
    try:
        said = books.decode_meta(meta)
        books.records(said, [client.get(key) for key in books.chunk_keys(name, said["products"])])
    except keys.Corrupt:
        return False
    return bool(said["digest"] == wanted)
