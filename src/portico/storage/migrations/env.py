"""Alembic's entry: runs over the connection (and in the transaction) that :mod:`portico.storage.migrate` gives."""

from alembic import context

from portico.storage.schema import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    transactional_ddl=True,  # we begin the transaction ourselves, so SQLite rolls back DDL too
    render_as_batch=True,  # SQLite alters tables by rebuilding them
)
with context.begin_transaction():
    context.run_migrations()
