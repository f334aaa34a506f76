"""Keeps what only Redis knows of the rules, blocks and rule book, in the lake; puts it back when Redis was emptied.

Both come to Redis by hand or by events that nobody tells again. Serving's workers lift nothing that they know, but one
that starts after Redis was emptied knows nothing. What came in the second before that is lost: the next change of the
product tells it.
"""

import base64
import json
import logging

from contracts import rules
from pipelines.generation import Client
from pipelines.lake import Lake
from pipelines.parts import SINK_BYTES

log = logging.getLogger(__name__)

FOLDER, FILE = "rules", "kept.json"

Held = tuple[bytes, bytes | None]  # rules.BLOCKED and rules.BOOK


class Keeper:
    """What was kept last; `look` keeps what is another, or gives it back."""

    def __init__(self, lake: Lake, client: Client) -> None:
        self._lake, self._client = lake, client
        self._kept: Held | None = None

    def look(self) -> None:
        """Keep what Redis holds; a Redis without our mark was emptied, or never seen, and gets what was kept."""
        blocked, book, marked = self._client.mget(rules.BLOCKED, rules.BOOK, rules.KEPT)
        held = (blocked or b"", book)
        if marked is None:
            held = self._give_back()
        if held != self._kept:
            self._keep(held)
            self._kept = held

    def _give_back(self) -> Held:
        """What Redis holds then: of blocks the latest word, as ever; a rule book that is there already stays."""
        kept_blocks, kept_book = self._read()

        def write(pipeline: Client) -> Held:
            before, book = pipeline.get(rules.BLOCKED) or b"", pipeline.get(rules.BOOK)
            held = (rules.merged(before, kept_blocks), kept_book if book is None else book)
            pipeline.multi()
            if held != (before, book):
                pipeline.set(rules.BLOCKED, held[0]).incr(rules.CHANGES)
                log.info("given back to Redis: %d blocked products", len(rules.blocked(held[0])))
            if held[1] is not None:
                pipeline.set(rules.BOOK, held[1])
            pipeline.set(rules.KEPT, 1)
            return held

        found: Held = self._client.transaction(write, rules.BLOCKED, rules.BOOK, value_from_callable=True)
        return found

    def _read(self) -> Held:
        try:
            with self._lake.folder(FOLDER).open_input_stream(FILE) as source:
                said = json.loads(source.read())
        except FileNotFoundError:
            return b"", None
        return base64.b64decode(said["blocked"]), None if said["book"] is None else said["book"].encode()

    def _keep(self, held: Held) -> None:
        """Whole or not at all."""
        said = {"blocked": base64.b64encode(held[0]).decode(), "book": None if held[1] is None else held[1].decode()}
        files = self._lake.folder(FOLDER)
        with files.open_output_stream(f".{FILE}.new", buffer_size=SINK_BYTES) as sink:
            sink.write(json.dumps(said).encode())
        files.move(f".{FILE}.new", FILE)
