# SPDX-License-Identifier: Apache-2.0
import json

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores import factory
from trove_upgrade.guestagent.datastores.mysql_family import persisted
from trove_upgrade.guestagent.datastores.mysql_family.engines.mysql import MySQL
from trove_upgrade.tests.unit.guestagent.datastores import fakes
from trove_upgrade.tests.unit.guestagent.datastores.test_drivers import DriverTestCase

_NOW = {
    'Version': 2,
    'mysql_dynamic_parse_early_variables': {
        'max_connections': {'Value': '77', 'Metadata': {'Host': 'localhost', 'User': 'root'}}
    },
    'mysql_static_variables': {'ssl_key': {'Value': '/srv/keys/x.pem', 'Metadata': {}}},
    'mysql_dynamic_variables': {'event_scheduler': {'Value': 'ON', 'Metadata': {}}},
}
_FORMER = {
    'Version': 1,
    'mysql_server': {
        'max_connections': {'Value': '77', 'Metadata': {}},
        'mysql_server_static_options': {'ssl_key': {'Value': '/srv/keys/x.pem'}},
    },
}


class TestPersisted(DriverTestCase):
    def setUp(self):
        super().setUp()
        self.data = self.context.data_directory
        self.data.mkdir(parents=True, exist_ok=True)

    def write(self, text):
        (self.data / persisted.FILE_NAME).write_text(text)

    def values(self):
        return {option.bare_name: option.value for option in persisted.options(self.data)}

    def test_both_forms_of_the_file_are_read(self):
        self.write(json.dumps(_NOW))
        self.assertEqual(
            {'max-connections': '77', 'ssl-key': '/srv/keys/x.pem', 'event-scheduler': 'ON'},
            self.values(),
        )
        self.write(json.dumps(_FORMER))
        self.assertEqual({'max-connections': '77', 'ssl-key': '/srv/keys/x.pem'}, self.values())

    def test_what_no_server_would_read_counts_as_nothing(self):
        for text in ('', '{', '[]', '"x"', '{"a": {"Value": 7}}', '[' * 5000):
            self.write(text)
            self.assertEqual({}, self.values(), text[:20])
        (self.data / persisted.FILE_NAME).unlink()
        (self.data / persisted.FILE_NAME).symlink_to('/etc/hostname')
        self.assertEqual({}, self.values())

    @given(
        st.recursive(
            st.none() | st.integers() | st.text(), lambda inner: st.dictionaries(st.text(), inner)
        )
    )
    def test_any_document_gives_options_or_none(self, document):
        self.write(json.dumps(document))
        self.assertTrue(all(isinstance(value, str) for value in self.values().values()))

    def test_a_server_that_was_started_without_them_gets_all_that_starts_no_events(self):
        self.write(json.dumps(_NOW))
        session = fakes.Session(
            ('max_connections = %s', fakes.refusal(1232)), ('ssl_key', fakes.refusal(1238))
        )
        persisted.apply(session, self.data)
        self.assertEqual(
            [
                'SET GLOBAL max_connections = %s',
                'SET GLOBAL max_connections = 77',
                'SET GLOBAL ssl_key = %s',
            ],
            session.statements,
        )

    def test_what_no_running_server_takes_is_given_at_the_start(self):
        for document in (_NOW, _FORMER):
            self.write(json.dumps(document))
            arguments = persisted.at_start(self.data)
            self.assertEqual(('--loose-ssl-key=/srv/keys/x.pem',), arguments)
        odd = {
            'port': {'Value': '1\n--init-file=/x'},
            'a b': {'Value': '1'},
            'super_read_only': {'Value': 'ON'},
            'back_log': {'Value': '7'},
        }
        self.write(json.dumps({'mysql_static_variables': odd}))
        self.assertEqual(('--loose-back-log=7',), persisted.at_start(self.data))
        engine = MySQL()
        self.assertEqual(
            ('--loose-back-log=7', *engine.isolated), engine.isolated_arguments(self.data)
        )

    def test_a_name_that_is_none_is_not_sent(self):
        self.write(json.dumps({'v': {'a; DROP TABLE x': {'Value': '1'}, 'b c': {'Value': '2'}}}))
        session = fakes.Session()
        persisted.apply(session, self.data)
        self.assertEqual([], session.statements)

    def test_they_are_part_of_the_servers_configuration(self):
        self.write(json.dumps(_NOW))
        options = (
            factory.as_service(MySQL(), self.context, fakes.Service())
            .host.server.configuration()
            .options
        )
        self.assertIn(
            ('loose-ssl-key', '/srv/keys/x.pem'),
            [(option.name, option.value) for option in options],
        )
