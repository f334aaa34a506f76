"""The merchandisers' rule book: read from a file, checked as a whole, put into Redis as one value."""

import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import redis

from contracts import conf, keys, rules
from contracts.rules import RuleBook
from pipelines.settings import Settings

TIMEOUT_S = 10.0

Client = Any  # redis-py's annotations mix its blocking client with its asynchronous one


class RulesError(ValueError):
    """Rules that cannot be applied or shown; nothing was changed."""


def apply(path: Path, settings: Settings | None = None, *, dry_run: bool = False) -> dict[str, object]:
    """Let the file's rules hold instead of those before; what they are. The same rules again change nothing."""
    if path.suffix != ".toml":
        raise RulesError(f"{path} is no .toml file")
    book = conf.load(path.stem, RuleBook, folder=path.parent)
    with _connect(settings) as client:
        version = _version(client.get(rules.BOOK)) if dry_run else put(client, book)
        counts = {kind.name: len(getattr(book, kind.name)) for kind in fields(book)}
        return {"version": version, "dry_run": dry_run, **counts, "names_nothing": list(naming_nothing(client, book))}


def show(settings: Settings | None = None) -> dict[str, object]:
    """The rules that hold, as apply would read them, and how many products are blocked for each reason."""
    with _connect(settings) as client:
        value, blocked = client.get(rules.BOOK), rules.blocked(client.get(rules.BLOCKED) or b"")
    try:
        book, version = rules.decode(value) if value is not None else (RuleBook(), 0)
    except ValueError as error:
        raise RulesError(f"Redis holds no rule book that this version reads: {error}") from error
    said = {
        kind: [{name: value for name, value in entry.items() if value is not None} for entry in entries]
        for kind, entries in asdict(book).items()
    }
    reasons = [reason for why in blocked.values() for reason in why]
    return {"version": version, **said, "blocked": {reason: reasons.count(reason) for reason in rules.REASONS}}


def put(client: Client, book: RuleBook) -> int:
    """Write the book under the next version, unless it is the one that holds; the version that holds then."""

    def write(pipeline: Client) -> int:
        before: bytes | None = pipeline.get(rules.BOOK)
        version = _version(before)
        value = rules.encode(book, version)
        pipeline.multi()
        if value != before:
            version += 1
            pipeline.set(rules.BOOK, rules.encode(book, version))
        return version

    return int(client.transaction(write, rules.BOOK, value_from_callable=True))


def naming_nothing(client: Client, book: RuleBook) -> Iterator[str]:
    """Entries whose product or category the live generation does not have: spelt wrongly, or ahead of time."""
    live = (client.get(keys.LIVE) or b"").decode()
    tables, categories = list[str](), set[str]()
    for generation in {keys.base(live), live} - {""}:
        meta = json.loads(client.get(keys.meta_key(generation)))
        categories.update(meta["categories"])
        tables += [client.get(keys.items_key(generation, start)).decode() for start in meta["item_chunks"]]
    for kind in fields(book):
        if kind.name == "vary":  # of whole shelves
            continue
        for number, entry in enumerate(getattr(book, kind.name), 1):
            if entry.product is not None and not any(entry.product.lower() in table for table in tables):
                yield f"{kind.name} {number}: product {entry.product}"
            if entry.category is not None and not any(rules.covers(entry.category, path) for path in categories):
                yield f"{kind.name} {number}: category {entry.category}"


def _version(book: bytes | None) -> int:
    try:
        return rules.decode(book)[1] if book is not None else 0
    except ValueError:
        return 0


def _connect(settings: Settings | None) -> Client:
    url = (settings or Settings()).redis_url
    return redis.Redis.from_url(url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S)
