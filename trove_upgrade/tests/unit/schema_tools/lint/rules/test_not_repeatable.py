# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.tests.unit.schema_tools.lint import base


class TestNotRepeatable(base.LintTestCase):
    def test_alembics_own_operations_do_not_look_first(self):
        for body in (
            "op.add_column('things', sa.Column('colour', sa.Integer()))",
            "op.create_table('parts', sa.Column('id', sa.Integer(), primary_key=True))",
            (
                "op.bulk_insert(sa.table('things', sa.column('id', sa.Integer()), "
                "sa.column('name', sa.String())), [{'id': 1, 'name': 'a'}])"
            ),
        ):
            self.refused('NOT_REPEATABLE', body)

    def test_raw_sql_looks_first_where_every_server_lets_it(self):
        self.refused('NOT_REPEATABLE', "op.execute('CREATE TABLE parts (id INTEGER PRIMARY KEY)')")
        self.accepted("op.execute('CREATE TABLE IF NOT EXISTS parts (id INTEGER PRIMARY KEY)')")
        added = 'ALTER TABLE things ADD COLUMN IF NOT EXISTS colour INTEGER'
        self.accepted(base.only_on('postgresql', added))
        self.accepted(base.only_on('mariadb', added))
        self.refused('NOT_REPEATABLE', base.only_on('mysql', added))

    def test_inserted_rows_are_asked_for_first(self):
        insert = 'INSERT INTO parts (id) VALUES (1)'
        table = "ops.ensure_table('parts', sa.Column('id', sa.Integer(), primary_key=True))\n"
        self.refused('NOT_REPEATABLE', f'{table}op.execute({insert!r})')
        self.refused('NOT_REPEATABLE', table + base.only_on('mysql', insert))
        self.accepted(table + base.only_on('mysql', insert.replace('INSERT', 'INSERT IGNORE')))
        self.accepted(table + base.only_on('sqlite', f'{insert} ON CONFLICT DO NOTHING'))

    def test_what_no_reader_sees_is_found_by_running_it_twice(self):
        finding = self.hidden(
            'NOT_REPEATABLE',
            """
            if not op.get_context().as_sql:
                op.create_table('parts', sa.Column('id', sa.Integer(), primary_key=True))""",
        )
        self.assertIn('run a second time it fails', finding.found)

    def test_what_no_reader_sees_is_found_by_killing_it_between_two_statements(self):
        finding = self.hidden(
            'NOT_REPEATABLE',
            """
            if not op.get_context().as_sql and not sa.inspect(op.get_bind()).has_table('parts'):
                op.create_table('parts', sa.Column('id', sa.Integer(), primary_key=True), \
sa.Column('name', sa.Integer()))
                op.create_index('ix_parts_name', 'parts', ['name'])""",
        )
        self.assertIn('killed before "CREATE INDEX ix_parts_name', finding.found)
        self.assertIn('ends at another schema', finding.found)

    def test_rows_that_come_twice_are_found(self):
        finding = self.hidden(
            'NOT_REPEATABLE',
            """
            if not op.get_context().as_sql:
                op.get_bind().execute(sa.text("INSERT INTO things (name) VALUES ('a')"))""",
        )
        self.assertIn('changes the database again', finding.found)

    def test_a_batch_that_copies_the_table_is_one_step(self):
        self.accepted(
            f"ops.ensure_not_null('things', {base.NOTE.format(nullable=False)})",
            revision='borealis_contract01',
        )
