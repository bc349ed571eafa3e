# SPDX-License-Identifier: Apache-2.0
"""The operator's choices reach the guest's driver, all of them and under the names that it
reads.
"""

import ast
import pathlib

from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade import guestagent
from trove_upgrade.taskmanager import guest_options
from trove_upgrade.tests.unit import base


def read_by_drivers():
    """Names that a driver asks `options` for: options.get('x'), probe.options.get('x'),
    options['x'], _seconds(options, 'x', ...).
    """
    found = set()
    for path in pathlib.Path(guestagent.__file__).parent.joinpath('datastores').rglob('*.py'):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=asked, attr='get'), args=[ast.Constant(value=name), *_]
                ) if _is_options(asked):
                    found.add(name)
                case ast.Call(
                    func=ast.Name(id='_seconds'), args=[asked, ast.Constant(value=name), *_]
                ) if _is_options(asked):
                    found.add(name)
                case ast.Subscript(value=asked, slice=ast.Constant(value=name)) if _is_options(
                    asked
                ):
                    found.add(name)
    return found


def _is_options(node):
    return getattr(node, 'id', getattr(node, 'attr', None)) == 'options'


class TestGuestOptions(base.TestCase):
    def setUp(self):
        super().setUp()
        self.conf = cfg.ConfigOpts()
        our_conf.register_opts(self.conf)
        self.conf([])

    def sent(self, **changes):
        for name, value in changes.items():
            self.conf.set_override(name, value, our_conf.GROUP)
        return guest_options.from_conf(self.conf[our_conf.GROUP])

    def test_every_option_that_a_driver_reads_is_sent_and_no_other(self):
        self.assertEqual(sorted(read_by_drivers()), sorted(self.sent()))

    def test_values_are_those_of_the_configuration_in_the_driver_s_units(self):
        self.assertEqual(
            {
                'fingerprint_seconds': 5.0,
                'lock_seconds': 7.0,
                'shutdown_seconds': 9.0,
                'allow_replication': True,
                'keep_changed_defaults': True,
                'min_free_bytes': 3 << 20,
            },
            self.sent(
                fingerprint_budget_seconds=5.0,
                database_lock_seconds=7.0,
                database_shutdown_seconds=9.0,
                allow_replication=True,
                keep_changed_defaults=True,
                database_min_free_mb=3,
            ),
        )

    def test_an_operator_who_chooses_nothing_takes_no_risk(self):
        sent = self.sent()
        self.assertFalse(sent['allow_replication'])
        self.assertEqual(0, sent['min_free_bytes'])
