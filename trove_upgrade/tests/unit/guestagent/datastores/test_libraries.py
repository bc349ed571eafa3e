# SPDX-License-Identifier: Apache-2.0
import pathlib

from trove_upgrade.domain.guest_options import GuestOptions
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.datastores.mysql_family import (
    checks,
    connection,
    definitions,
    libraries,
    option_files,
)
from trove_upgrade.tests.unit.guestagent.datastores import fakes
from trove_upgrade.tests.unit.guestagent.datastores.test_drivers import DriverTestCase

NO_COMPONENTS = ('mysql.component', fakes.refusal(1146, "Table 'mysql.component' doesn't exist"))


class TestLibraries(DriverTestCase):
    def check(self, *rules, options=(), target=None):
        configuration = option_files.Configuration(
            options=tuple(
                option_files.Option(
                    group='mysqld', name=name, value=value, path=pathlib.Path('x'), line=1
                )
                for name, value in options
            ),
            files=(),
        )
        facts = (
            {'plugins': ['auth_ed25519.so', 'udf_example.so', 'component_log_sink_json.so']}
            if target is None
            else target
        )
        return libraries.plugins(
            checks.Probe(
                context=self.context,
                session=fakes.Session(*rules, NO_COMPONENTS),
                configuration=configuration,
                version='10.11.14-MariaDB',
                target=TargetFacts.from_wire(facts),
                options=GuestOptions(),
                proc=self.root,
            )
        )

    def assert_missing(self, found, *words):
        self.assertEqual(('refused', 'PLUGIN_MISSING'), (found.outcome, found.code), found)
        for word in words:
            self.assertIn(word, found.message)

    def test_a_server_that_loads_nothing_is_right(self):
        self.assertEqual('ok', self.check().outcome)

    def test_a_plugin_that_the_target_lacks_is_refused(self):
        self.assertEqual(
            'ok', self.check(('mysql.plugin', [('ed25519', 'auth_ed25519.so')])).outcome
        )
        self.assert_missing(
            self.check(('mysql.plugin', [('audit', 'server_audit.so')])), 'audit (server_audit.so)'
        )

    def test_a_function_that_the_target_lacks_is_refused(self):
        self.assertEqual('ok', self.check(('mysql.func', [('metaphon', 'udf_example.so')])).outcome)
        self.assert_missing(
            self.check(('mysql.func', [('sys_exec', 'lib_mysqludf_sys.so')])),
            'function sys_exec (lib_mysqludf_sys.so)',
        )

    def test_a_component_that_the_target_lacks_is_refused(self):
        self.assertEqual(
            'ok', self.check(('mysql.component', [('file://component_log_sink_json',)])).outcome
        )
        found = self.check(
            ('mysql.component', [('file://component_validate_password;component_log_sink_json',)])
        )
        self.assert_missing(found, 'component component_validate_password')
        self.assertNotIn('sink_json', found.message)

    def test_libraries_of_the_configuration_count_too(self):
        for name in ('plugin-load-add', 'plugin-load', 'early-plugin-load'):
            found = self.check(options=[(name, 'x=server_audit.so;auth_ed25519')])
            self.assert_missing(found, 'server_audit')
            self.assertNotIn('ed25519', found.message)

    def test_without_facts_they_are_named(self):
        found = self.check(('mysql.func', [('sys_exec', 'lib_mysqludf_sys.so')]), target={})
        self.assertEqual(('warning', 'TARGET_FACTS_MISSING'), (found.outcome, found.code))
        self.assertIn('sys_exec', found.message)

    def test_another_refusal_of_the_server_is_not_taken_for_a_table_that_is_not_there(self):
        session = fakes.Session(('mysql.component', fakes.refusal(1142, 'denied')))
        self.assertRaises(
            connection.SessionError,
            libraries.of_server,
            session,
            option_files.Configuration(options=(), files=()),
        )

    def test_loadable_functions_are_in_the_picture(self):
        before = definitions.read(fakes.Session(('mysql.func', [('f', 2, 'a.so', 'function')])))
        after = definitions.read(fakes.Session(('mysql.func', [('f', 2, 'b.so', 'function')])))
        self.assertEqual({'function:f'}, before.keys())
        self.assertNotEqual(before, after)
