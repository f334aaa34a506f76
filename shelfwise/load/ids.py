"""Ids of loaded things: the same source, kind and external id give the same UUID on every machine, in SQL and here.

RFC 9562 UUIDv8: the MD5 of `<source>/<kind>/<external id>` with the version nibble 8 and the variant nibble a.
"""

import hashlib
from uuid import UUID

# The same in DuckDB: `loaded_id(source, kind, external)`.
LOADED_ID = """
create or replace macro uuid_of_md5(digest) as
    (digest[1:12] || '8' || digest[14:16] || 'a' || digest[18:32])::uuid;
create or replace macro loaded_id(source, kind, external) as uuid_of_md5(md5(source || '/' || kind || '/' || external));
"""


def loaded_id(source: str, kind: str, external: str) -> UUID:
    """The shop's id of something that was loaded, for instance `loaded_id("complete-journey", "product", "25671")`."""
    digest = hashlib.md5(f"{source}/{kind}/{external}".encode(), usedforsecurity=False).hexdigest()
    return UUID(f"{digest[:12]}8{digest[13:16]}a{digest[17:]}")
