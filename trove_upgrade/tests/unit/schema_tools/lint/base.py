# SPDX-License-Identifier: Apache-2.0
"""A release `aurora` with a table, and the revision of `borealis` that a test wants judged."""

from trove_upgrade.schema_tools.lint import RULES, lint
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.db.migrations import temporary_chain

THINGS = """
ops.ensure_table(
    'things', sa.Column('id', sa.Integer(), primary_key=True), sa.Column('name', sa.String(64), \
nullable=False),
    sa.Column('note', sa.String(255)), sa.Column('size', sa.Integer()), sa.Column('price', \
sa.Numeric(8, 2)),
    sa.Column('at', sa.DateTime()), sa.Column('state', sa.String(16), nullable=False, \
server_default='new'))
ops.ensure_index('ix_things_note', 'things', ['note'])
"""
#: Column by column, so that a function of ours can be told all of it.
NOTE = "sa.Column('note', sa.String(255), nullable={nullable})"


def only_on(dialect, *statements):
    """Raw SQL that only one kind of server is sent."""
    sent = '\n'.join(f'    op.execute({statement!r})' for statement in statements)
    return f'if op.get_context().dialect.name == {dialect!r}:\n{sent}'


class LintTestCase(base.TestCase):
    def findings(self, body, *, revision='borealis_expand01', attributes='', between=()):
        revisions = self.useFixture(temporary_chain.TemporaryChain())
        revisions.add('aurora_expand01', THINGS)
        revisions.add('aurora_contract01')
        for other, other_body in between:
            revisions.add(other, other_body)
        revisions.add(revision, body, attributes=attributes)
        return lint(revisions.chain, [revision])

    def codes(self, body, **options):
        return sorted({finding.code for finding in self.findings(body, **options)})

    def refused(self, code, body, **options):
        """Exactly this rule is broken, once; its finding."""
        found = self.findings(body, **options)
        self.assertEqual(
            [code], [finding.code for finding in found], [finding.found for finding in found]
        )
        self.assertIn(code, {rule.code for rule in RULES})
        return found[0]

    def hidden(self, code, body):
        """The same of a revision that does online what it does not print, which is a finding by
        itself.
        """
        return self.refused(code, body, attributes="safety_assured = {'ONLINE_ONLY': 'a test'}")

    def accepted(self, body, **options):
        found = self.findings(body, **options)
        self.assertEqual([], [(finding.code, finding.found) for finding in found])
