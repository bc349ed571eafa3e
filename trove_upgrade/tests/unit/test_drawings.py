# SPDX-License-Identifier: Apache-2.0
"""The drawings of the documentation, which its own directives make."""

import importlib
import pathlib
import sys

import fixtures
from docutils import core, nodes
from docutils.parsers.rst import directives

import trove_upgrade
from trove_upgrade.domain import states
from trove_upgrade.tests.unit import base

DOCS = pathlib.Path(trove_upgrade.__file__).parents[1] / 'doc' / 'source'

BARS = """
.. time-bars::
   :alt: {alternative}
   :ticks: 0 = begin; 10 = end

   {line}
"""


class TestDrawings(base.TestCase):
    def setUp(self):
        super().setUp()
        self.useFixture(fixtures.MonkeyPatch('sys.path', [str(DOCS), *sys.path]))

    def bars(self, alternative, line):
        """The nodes of a drawing, without what docutils prints of errors."""
        module = importlib.import_module('time_bars')
        directives.register_directive('time-bars', module.TimeBars)
        return core.publish_doctree(
            BARS.format(alternative=alternative, line=line),
            settings_overrides={'report_level': 5},
        )

    def test_every_state_and_every_move_is_drawn(self):
        module = importlib.import_module('state_moves')
        drawn = module.StateMoves.draw(module.StateMoves).render('states')
        missing = [state for state in states.UpgradeState if f'>{state}</text>' not in drawn]
        self.assertEqual([], missing)
        moves = sum(len(following) for following in states.MOVES.values())
        self.assertEqual(moves, drawn.count('<polygon'))

    def test_one_has_its_words_for_readers_who_do_not_see_it(self):
        found = self.bars('It lasts <long>.', 'wait | 0 10 | bad | the whole time')
        (image,) = found.findall(nodes.raw)
        self.assertIn('aria-label="It lasts &lt;long&gt;."', image.astext())
        self.assertIn('the whole time</text>', image.astext())

    def test_without_them_it_is_an_error(self):
        self.assertIn(':alt:', self.bars('', 'wait | 0 10').astext())

    def test_a_line_that_cannot_be_read_is_an_error(self):
        self.assertIn('Cannot be drawn', self.bars('Bars.', 'wait | soon').astext())
