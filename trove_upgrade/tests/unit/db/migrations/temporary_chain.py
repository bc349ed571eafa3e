# SPDX-License-Identifier: Apache-2.0
"""A chain of revisions that a test writes itself."""

import pathlib
import textwrap

import fixtures

from trove_upgrade.db.migrations.chain import Chain

_REVISION = '''\
"""{revision}."""
import sqlalchemy as sa
from alembic import op

from trove_upgrade.db.migrations import ops

revision = {revision!r}
down_revision = {down!r}
branch_labels = {labels!r}
depends_on = None
{attributes}


def upgrade():
{body}
'''


class TemporaryChain(fixtures.Fixture):
    """Revisions in a temporary folder, each behind the one that was added to its branch before."""

    def _setUp(self):
        self.versions = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'versions'
        self._last = {}

    def add(self, revision, body='pass', *, attributes=''):
        """`body` is what upgrade() does; `attributes` stand in the module."""
        release, branch = revision.rstrip('0123456789').split('_')
        folder = self.versions / release / branch
        folder.mkdir(parents=True, exist_ok=True)
        down = self._last.get(branch)
        text = _REVISION.format(
            revision=revision,
            down=down,
            labels=None if down else (branch,),
            attributes=textwrap.dedent(attributes),
            body=textwrap.indent(textwrap.dedent(body).strip(), '    '),
        )
        (folder / f'{revision}_test.py').write_text(text)
        self._last[branch] = revision

    @property
    def chain(self):
        """What has been added so far."""
        return Chain.of(self.versions)
