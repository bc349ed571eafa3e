# SPDX-License-Identifier: Apache-2.0
"""Target facts keep what only another release reads, and tell missing ones from empty ones."""

import hypothesis
from hypothesis import strategies

from trove_upgrade.domain import target_facts
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.tests.unit import base

_TEXTS = strategies.text('abc.-_8', min_size=1)
_LISTS = strategies.lists(_TEXTS, max_size=3)
_RECORDED = strategies.fixed_dictionaries(
    {},
    optional={
        'server_version': _TEXTS,
        'container_image': strategies.none() | _TEXTS,
        'options': _LISTS,
        'plugins': _LISTS,
        'plugin_options': strategies.dictionaries(_TEXTS, _LISTS, max_size=2),
        'guest_rpc': _TEXTS,
        'of_the_next_release': strategies.integers() | _LISTS,
    },
)


class TestWire(base.TestCase):
    @hypothesis.given(_RECORDED)
    def test_facts_come_back_as_they_went(self, recorded):
        facts = TargetFacts.from_wire(recorded)
        self.assertEqual(facts, TargetFacts.from_wire(facts.to_wire()))
        self.assertEqual(recorded.keys(), facts.to_wire().keys())

    def test_an_image_that_is_not_told_is_another_thing_than_none(self):
        for wire, image in (({}, None), ({'container_image': None}, ''), ({'plugins': []}, None)):
            facts = TargetFacts.from_wire(wire)
            self.assertEqual(image, facts.container_image)
            self.assertEqual(
                wire, {name: list(v) if v == () else v for name, v in facts.to_wire().items()}
            )

    def test_facts_of_another_form_are_named_and_travel_as_they_came(self):
        wire = {'plugins': 7, 'server_version': 'a\nb', 'options': ['a']}
        self.assertEqual(['server_version', 'plugins'], target_facts.broken(wire))
        facts = TargetFacts.from_wire(wire)
        self.assertEqual(('', None, ('a',)), (facts.server_version, facts.plugins, facts.options))
        self.assertEqual(
            {'plugins': 7, 'server_version': 'a\nb', 'options': ('a',)}, facts.to_wire()
        )
