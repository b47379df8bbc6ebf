"""Alembic's entry: migrate the connection that `create_control` hands over."""

from alembic import context

from enclave.control.tables import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
