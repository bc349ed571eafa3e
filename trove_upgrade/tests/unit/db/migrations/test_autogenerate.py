# SPDX-License-Identifier: Apache-2.0
import sqlalchemy as sa

from trove_upgrade.db.migrations.lint import lint
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.db.migrations import model_changes


class TestEachChange(model_changes.ModelChanges, base.TestCase):
    """Divided, written, run twice in both branches beside an old service, and nothing is left."""

    def engine(self):
        engine = sa.create_engine('sqlite://', poolclass=sa.StaticPool)
        self.addCleanup(engine.dispose)
        return engine


def _test_of(name):
    def test(self):
        workshop = self.try_cases(name)
        self.assertEqual([], [(one.code, one.found) for one in lint(workshop.chain, ['beta_expand01', 'beta_contract01'])])
    return test


for _name, _case in model_changes.CASES.items():
    if not _case.comments:
        setattr(TestEachChange, f'test_{_name.replace(" ", "_").replace(",", "")}', _test_of(_name))
