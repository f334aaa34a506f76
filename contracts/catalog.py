"""What the bus says when the shop takes a product in: that something about it is new, never what.

    events:catalog   stream; each entry one JSON object in the field `event`
Whoever hears of it reads the shop's export: an event may come twice, late, or be dropped with the oldest.
"""

from typing import Final

CATALOG_STREAM: Final = "events:catalog"
CATALOG_FIELDS: Final = ("product_id", "at")
"""UUID; ISO 8601 instant with its offset."""
