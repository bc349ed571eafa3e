# SPDX-License-Identifier: Apache-2.0
"""Declarations of the plugin, and the help of each command."""

import argparse
import pkgutil

import testtools
from keystoneauth1 import session

from troveupgradeclient.osc import plugin
from troveupgradeclient.osc.v1.exit_status import OF_CHECKS, OF_UPGRADES, ExitStatus
from troveupgradeclient.tests import base, schemas
from troveupgradeclient.v1 import api


class _ClientManager:
    session = session.Session()
    region_name = 'RegionOne'
    interface = 'public'

    @staticmethod
    def get_configuration():
        return {'database_endpoint_override': 'http://127.0.0.1:1/v1.0/p'}


class TestDeclarations(testtools.TestCase):
    def test_the_plugin_has_what_the_openstack_command_asks_of_one(self):
        [(name, place)] = base.declared('openstack.cli.extension')
        self.assertEqual(plugin.API_NAME, name)
        self.assertIs(plugin, pkgutil.resolve_name(place))
        self.assertIn(plugin.DEFAULT_API_VERSION, plugin.API_VERSIONS)
        made = plugin.make_client(_ClientManager())
        kind = pkgutil.resolve_name(plugin.API_VERSIONS[plugin.DEFAULT_API_VERSION])
        self.assertIsInstance(made, kind)

    def test_a_request_without_an_answer_has_an_end_and_the_session_is_left_as_it_is(self):
        for seconds, wanted in ((None, api.REQUEST_SECONDS), (7.0, 7.0)):
            manager = _ClientManager()
            manager.session = session.Session(timeout=seconds)
            used = plugin.make_client(manager).upgrades._api._http.session
            self.assertEqual((wanted, seconds), (used.timeout, manager.session.timeout))

    def test_the_option_of_the_version_is_none_of_the_trove_clients(self):
        parser = plugin.build_option_parser(argparse.ArgumentParser())
        options = {option for action in parser._actions for option in action.option_strings}
        self.assertEqual({'-h', '--help', '--os-database-upgrade-api-version'}, options)
        self.assertEqual('1', getattr(parser.parse_args([]), plugin.API_VERSION_OPTION))

    def test_each_command_has_a_schema(self):
        found = {name.removeprefix('database upgrade ') for name in base.commands()}
        self.assertEqual(found, {name.partition(' --')[0] for name in schemas.SCHEMAS})

    def test_the_help_of_a_command_that_waits_has_its_exit_statuses_one_on_each_line(self):
        for word, statuses in (
            ('watch', OF_UPGRADES),
            ('start', OF_UPGRADES),
            ('check', OF_CHECKS),
        ):
            name = f'database upgrade {word}'
            command = base.commands()[name](argparse.Namespace(), None)
            lines = command.get_parser(name).format_help().splitlines()
            begin = lines.index('exit statuses:') + 1
            for status, line in zip(statuses, lines[begin:], strict=False):
                self.assertEqual([f'{int(status)}', status.name], line.split()[:2])
                self.assertIn(status.meaning, line)
        self.assertEqual(set(ExitStatus), {*OF_UPGRADES, *OF_CHECKS})

    def test_each_option_has_a_help_text(self):
        for name, kind in base.commands().items():
            parser = kind(argparse.Namespace(), None).get_parser(name)
            self.assertTrue(parser.description, name)
            lacking = [
                action.dest
                for action in parser._actions
                if not action.help and action.help is not argparse.SUPPRESS
            ]
            self.assertEqual([], lacking, name)
