# SPDX-License-Identifier: Apache-2.0
"""User data of a server that has none: what Trove gives a new guest, and the same again at the next
upgrade.
"""

import dataclasses
import json

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trove_upgrade.domain import exceptions, user_nics
from trove_upgrade.domain.cloud_init import documents
from trove_upgrade.taskmanager import composed_user_data, user_data
from trove_upgrade.taskmanager.contents import Contents
from trove_upgrade.tests.unit import base

INFO = '/etc/trove/conf.d/guest_info.conf'
CONFIG = '/etc/trove/conf.d/trove-guestagent.conf'
SETTINGS = composed_user_data.Settings(
    directory='/etc/trove/conf.d',
    owner='ubuntu',
    group='root',
    guest_info='guest_info.conf',
    network_isolation=True,
)
GUEST = composed_user_data.Guest(instance_id='i1', project_id='t1')
CONTENTS = Contents(
    datastore_version='11.8.6',
    datastore_manager='mariadb',
    registry_ext='mariadb:trove.Manager',
    repl_strategy='trove.GTID',
    ssl_mode='None',
    guest_config='[DEFAULT]\ntransport_url = t\n',
)
NIC = user_nics.UserNic(
    'fa:16:3e:00:00:01',
    (
        user_nics.NicAddress(address='10.0.0.7', version=4, cidr='10.0.0.0/24', gateway='10.0.0.1'),
        user_nics.NicAddress(address='2001:db8::7', version=6, cidr='2001:db8::/64', gateway=None),
    ),
)
_WORD = st.text(st.characters(codec='ascii', categories=['L', 'N']), min_size=1, max_size=40)
_TEXT = st.text(st.characters(codec='utf-8', exclude_categories=['Cs', 'Cc']), max_size=200)


def composed(own=None, cloud_config=None, contents=CONTENTS, guest=GUEST, **changes):
    injected = composed_user_data.files(
        dataclasses.replace(SETTINGS, **changes),
        dataclasses.replace(guest, **(own or {})),
        contents,
    )
    return composed_user_data.compose(injected, cloud_config)


def files(text):
    return {path: content.decode() for path, content in documents.files(text).items()}


class TestFiles(base.TestCase):
    def test_they_are_those_that_trove_gives_a_new_guest(self):
        self.assertEqual(
            {
                INFO: (
                    '[DEFAULT]\nguest_id=i1\ndatastore_manager=mariadb\ndatastore_version=11.8.6\n'
                    'tenant_id=t1\ndatastore_registry_ext=mariadb:trove.Manager\n'
                    'replication_strategy=trove.GTID\nssl_mode=None\nnetwork_isolation=True\n'
                    'instance_rpc_encr_key=S3cret\n'
                ),
                CONFIG: CONTENTS.guest_config,
            },
            files(composed({'rpc_key': 'S3cret'})),
        )

    def test_they_belong_to_the_user_of_troves_agent_alone(self):
        self.assertEqual(
            {('ubuntu:root', '0600')},
            {
                (entry['owner'], entry['permissions'])
                for entry in yaml.safe_load(composed())['write_files']
            },
        )

    def test_a_trove_without_newer_settings_writes_none_of_them(self):
        old = Contents(datastore_version='10.5', datastore_manager='mariadb')
        self.assertEqual(
            {
                INFO: '[DEFAULT]\nguest_id=i1\ndatastore_manager=mariadb\ndatastore_version=10.5\n'
                'tenant_id=t1\nnetwork_isolation=False\n'
            },
            files(composed(contents=old, network_isolation=False)),
        )

    def test_guest_info_goes_where_trove_puts_it(self):
        self.assertIn('/etc/guest_info', files(composed(guest_info='/etc/guest_info')))
        self.assertIn(
            '/opt/conf/info.conf', files(composed(directory='/opt/conf', guest_info='info.conf'))
        )

    def test_a_nic_of_the_users_own_goes_to_the_database_alone(self):
        found = files(composed({'user_nic': NIC}, bridge_network='172.30.0.1/16'))
        self.assertEqual(
            {
                'mac_address': 'fa:16:3e:00:00:01',
                'ipv4_address': '10.0.0.7',
                'ipv4_cidr': '10.0.0.0/24',
                'ipv4_gateway': '10.0.0.1',
                'ipv4_host_routes': [],
                'ipv6_address': '2001:db8::7',
                'ipv6_cidr': '2001:db8::/64',
                'ipv6_host_routes': [],
            },
            json.loads(found[user_data.ETH1_PATH]),
        )
        self.assertEqual(
            {'bridge': 'none', 'ip-forward': False, 'iptables': False},
            json.loads(found[user_data.DOCKER_PATH]),
        )

    def test_without_isolation_no_nic_does(self):
        found = files(composed({'user_nic': NIC}, network_isolation=False))
        self.assertEqual({INFO, CONFIG}, set(found))

    def test_docker_and_the_controller_are_set_as_the_operator_has_them(self):
        found = files(
            composed(
                bridge_network='172.30.0.1/16',
                insecure_registries=('r:5000',),
                controller_address='10.0.0.2',
            )
        )
        self.assertEqual(
            {'bip': '172.30.0.1/16', 'insecure-registries': ['r:5000']},
            json.loads(found[user_data.DOCKER_PATH]),
        )
        self.assertEqual('CONTROLLER=10.0.0.2', found['/etc/trove/controller.conf'])

    def test_no_value_becomes_a_second_option(self):
        evil = 'x\ntransport_url = rabbit://e@e/'
        for changes in (
            {'guest': dataclasses.replace(GUEST, project_id=evil)},
            {'guest': dataclasses.replace(GUEST, rpc_key=evil)},
            {'owner': evil},
            {'group': evil},
            {'controller_address': evil},
        ):
            error = self.assertRaises(exceptions.StepRefused, composed, **changes)
            self.assertEqual('USER_DATA_VALUE_INVALID', error.code)

    def test_no_secret_is_shown(self):
        guest = dataclasses.replace(GUEST, rpc_key='S3cret')
        injected = composed_user_data.files(
            SETTINGS, guest, dataclasses.replace(CONTENTS, guest_config='S3cret')
        )
        self.assertNotIn('S3cret', f'{guest!r}{injected!r}')


class TestOperatorsCloudConfig(base.TestCase):
    def test_it_is_merged_and_its_files_come_last(self):
        text = composed(
            cloud_config='runcmd: [a]\nwrite_files:\n- {path: /b, content: x}\n'
            f'- {{path: {CONFIG}, content: y}}\n'
        )
        self.assertEqual(['a'], yaml.safe_load(text)['runcmd'])
        self.assertEqual(('x', 'y'), (files(text)['/b'], files(text)[CONFIG]))
        self.assertIn('guest_id=i1', files(text)[INFO])

    def test_one_without_files_takes_none_away(self):
        for text in ('', '#cloud-config\n', 'runcmd: []\n', 'write_files: []\n', 'write_files:\n'):
            self.assertEqual({INFO, CONFIG}, set(files(composed(cloud_config=text))), text)

    def test_one_that_cloud_init_would_not_take_is_refused(self):
        for text in ('#!/bin/sh\necho hello: x\n', 'a: [', '- a', 'write_files: {a: b}', 'text'):
            self.assertRaises(composed_user_data.CloudConfigUnusable, composed, cloud_config=text)


class TestRendered(base.TestCase):
    """What is composed is a user data as any other."""

    GUESTS = st.builds(
        composed_user_data.Guest,
        instance_id=_WORD,
        project_id=_WORD,
        rpc_key=st.none() | _WORD,
        user_nic=st.none() | st.just(NIC),
    )
    CONTENTS = st.builds(
        Contents,
        datastore_version=_WORD,
        datastore_manager=_WORD,
        registry_ext=st.none() | _WORD,
        repl_strategy=st.none() | _WORD,
        ssl_mode=st.none() | _WORD,
        guest_config=_TEXT,
        guest_topic_prefix=st.none() | _WORD,
    )

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(GUESTS, CONTENTS)
    def test_every_file_is_read_back_and_outlives_the_marker(self, guest, contents):
        text = composed(guest=guest, contents=contents)
        rendered = user_data.render(text, 'u:1', contents)
        after = files(rendered)
        self.assertIn('upgrade_marker = u:1\n', after.pop(user_data.MARKER_PATH))
        self.assertEqual(files(text), after)
        self.assertTrue(user_data.tells_guest(rendered))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(GUESTS, CONTENTS, _WORD)
    def test_the_next_upgrade_changes_the_version_alone(self, guest, contents, version):
        target = dataclasses.replace(contents, datastore_version=version)
        once = user_data.render(composed(guest=guest, contents=contents), 'u:1', contents)
        self.assertEqual(once, user_data.render(once, 'u:1', contents))
        self.assertEqual(
            files(user_data.render(composed(guest=guest, contents=target), 'v:1', target)),
            files(user_data.render(once, 'v:1', target)),
        )

    def test_with_one_nic_nothing_takes_it(self):
        text = composed({'user_nic': NIC})
        rendered = user_data.render(text, 'u:1', dataclasses.replace(CONTENTS, lone_nic=True))
        self.assertNotIn(user_data.ETH1_PATH, files(rendered))
        self.assertEqual({}, json.loads(files(rendered)[user_data.DOCKER_PATH]))
