"""Alembic's entry: runs the revisions on the connection, and in the transaction, of commerce_core.migrate."""

from alembic import context

from commerce_core.tables import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
context.run_migrations()
