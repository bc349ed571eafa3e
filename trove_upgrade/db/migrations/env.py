# SPDX-License-Identifier: Apache-2.0
"""Environment that Alembic runs for each command; the runner hands in the connection and the
chain's version table.
"""

from alembic import context

options = context.config.attributes

if context.is_offline_mode():
    context.configure(
        dialect_name=options['dialect'],
        version_table=options['version_table'],
        as_sql=True,
        literal_binds=True,
        transactional_ddl=False,
    )
else:
    context.configure(
        connection=options['connection'],
        version_table=options['version_table'],
        transaction_per_migration=True,
    )

with context.begin_transaction():
    context.run_migrations()
