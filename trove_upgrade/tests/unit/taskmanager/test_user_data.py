# SPDX-License-Identifier: Apache-2.0
"""User data of a rebuild: everything that was there, the target's version, our marker once."""

import base64
import email
import email.mime.multipart
import email.mime.text
import gzip
import json

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trove_upgrade.domain import exceptions
from trove_upgrade.taskmanager import user_data
from trove_upgrade.tests.unit import base

UUID = '6d1b1c5e-5f0e-4a53-9e0e-0d7d6c3b2a11'
GUEST_INFO = (
    '[DEFAULT]\nguest_id = i1\ndatastore_manager = mariadb\ndatastore_version = '
    '10.11.14\ntenant_id = t\n'
)

_PATHS = st.text(st.characters(codec='utf-8', exclude_categories=['Cs', 'Cc']), min_size=1).filter(
    lambda path: 'guest_info' not in path and path != user_data.MARKER_PATH
)
_TEXT = st.text(st.characters(codec='utf-8', exclude_categories=['Cs']))
_ENTRY = st.fixed_dictionaries(
    {'path': _PATHS, 'content': _TEXT}, optional={'permissions': st.sampled_from(['0600', '0644'])}
)


def render(text, marker='u:1', **changes):
    raw = text if isinstance(text, bytes) else text.encode()
    return user_data.render(
        raw,
        marker,
        user_data.Contents(
            **{'datastore_version': '11.8.6', 'datastore_manager': 'mariadb', **changes}
        ),
    )


def cloud_config(*entries, **more):
    return '#cloud-config\n' + yaml.safe_dump({**more, 'write_files': list(entries)})


def parsed(rendered):
    assert rendered.startswith(b'#cloud-config\n')
    return yaml.safe_load(rendered)


def content_of(document, path):
    entries = [entry for entry in document['write_files'] if entry['path'] == path]
    assert len(entries) == 1, entries
    text = entries[0]['content']
    return base64.b64decode(text).decode() if entries[0].get('encoding') == 'b64' else text


class TestCloudConfig(base.TestCase):
    def test_the_marker_is_a_file_of_its_own(self):
        document = parsed(render(cloud_config()))
        self.assertEqual(
            '[trove_upgrade]\nupgrade_marker = u:1\n', content_of(document, user_data.MARKER_PATH)
        )

    def test_no_value_becomes_a_second_option(self):
        for character in '\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\x1b\x7f':
            for name in (
                'datastore_version',
                'datastore_manager',
                'registry_ext',
                'repl_strategy',
                'ssl_mode',
                'guest_topic_prefix',
                'volume_uuid',
            ):
                value = f'{UUID}{character}transport_url = rabbit://e@e/'
                error = self.assertRaises(
                    exceptions.StepRefused, render, cloud_config(), **{name: value}
                )
                self.assertEqual('USER_DATA_VALUE_INVALID', error.code)
                self.assertIn(
                    name if name != 'registry_ext' else 'datastore_registry_ext',
                    error.message.replace('replication_strategy', 'repl_strategy'),
                )
            self.assertRaises(
                exceptions.StepRefused, render, cloud_config(), f'u:1{character}x = y'
            )
        self.assertRaises(
            exceptions.StepRefused, render, cloud_config(), volume_uuid='$transport_url'
        )

    def test_a_second_upgrade_replaces_the_marker(self):
        document = parsed(render(render(cloud_config()), 'v:3'))
        self.assertIn('upgrade_marker = v:3', content_of(document, user_data.MARKER_PATH))

    def test_guest_info_names_the_target_version_and_keeps_the_rest(self):
        for encoding, content in (
            ('b64', base64.b64encode(GUEST_INFO.encode()).decode()),
            (None, GUEST_INFO),
        ):
            entry = {'path': '/etc/trove/conf.d/guest_info.conf', 'content': content}
            document = parsed(
                render(cloud_config({**entry, 'encoding': encoding} if encoding else entry))
            )
            self.assertEqual(
                GUEST_INFO.replace('10.11.14', '11.8.6'), content_of(document, entry['path'])
            )

    def test_a_line_that_is_not_there_is_not_added(self):
        entry = {'path': '/etc/guest_info', 'content': '[DEFAULT]\nguest_id=i\n'}
        self.assertEqual(
            entry['content'], content_of(parsed(render(cloud_config(entry))), '/etc/guest_info')
        )

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.lists(_ENTRY, unique_by=lambda entry: entry['path'], max_size=5),
        st.dictionaries(st.sampled_from(['runcmd', 'hostname']), _TEXT),
    )
    def test_every_other_entry_comes_back_the_same(self, entries, more):
        document = parsed(render(cloud_config(*entries, **more)))
        self.assertEqual(entries, document['write_files'][:-1])
        self.assertEqual(
            more, {key: value for key, value in document.items() if key != 'write_files'}
        )

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(_ENTRY, max_size=3))
    def test_rendering_twice_is_rendering_once(self, entries):
        once = render(cloud_config(*entries))
        self.assertEqual(once, render(once))

    def test_compressed_stays_compressed(self):
        rendered = render(gzip.compress(cloud_config().encode()))
        self.assertIn(
            'upgrade_marker', content_of(parsed(gzip.decompress(rendered)), user_data.MARKER_PATH)
        )

    def test_an_empty_cloud_config_gets_the_marker(self):
        self.assertEqual(1, len(parsed(render('#cloud-config\n'))['write_files']))


class TestMultipart(base.TestCase):
    def message(self):
        outer = email.mime.multipart.MIMEMultipart()
        outer.attach(email.mime.text.MIMEText('#!/bin/sh\necho hello\n', 'x-shellscript'))
        entry = {'path': '/etc/trove/conf.d/guest_info.conf', 'content': GUEST_INFO}
        outer.attach(email.mime.text.MIMEText(cloud_config(entry), 'cloud-config'))
        return outer.as_bytes()

    def parts(self, rendered):
        return [
            part.get_payload(decode=True).decode()
            for part in email.message_from_bytes(rendered).get_payload()
        ]

    def test_parts_stay_and_the_marker_comes_as_another_one(self):
        script, config, marker = self.parts(render(self.message()))
        self.assertIn('echo hello', script)
        self.assertIn('11.8.6', config)
        self.assertIn(user_data.MARKER_PATH, marker)

    def test_a_second_upgrade_replaces_the_part(self):
        parts = self.parts(render(render(self.message()), 'v:9'))
        self.assertEqual(3, len(parts))
        self.assertIn('v:9', content_of(parsed(parts[-1].encode()), user_data.MARKER_PATH))


def as_trove_renders(**more):
    """What Trove 26 makes, by yaml.dump: its keys come sorted, each file in base64, no
    permissions.
    """
    info = (
        '[DEFAULT]\nguest_id=i1\ndatastore_manager=mariadb\ndatastore_version=10.11.18\ntenant_id=t1\n'
        'datastore_registry_ext=mariadb:trove.old.Manager\nreplication_strategy=trove.old.GTID\nssl_mode=None\n'
        'network_isolation=True\ninstance_rpc_encr_key=S3cret\n'
    )
    files = {
        '/etc/trove/conf.d/guest_info.conf': info,
        '/etc/trove/conf.d/trove-guestagent.conf': '[DEFAULT]\nhost=old\n',
        user_data.ETH1_PATH: '{"mac_address": "fa:16:3e:00:00:01"}',
        user_data.DOCKER_PATH: json.dumps(
            {
                'bridge': 'none',
                'ip-forward': False,
                'iptables': False,
                'insecure-registries': ['r:5000'],
            }
        ),
        **more,
    }
    return '#cloud-config\n' + yaml.dump(
        {
            'write_files': [
                {
                    'encoding': 'b64',
                    'owner': 'ubuntu:ubuntu',
                    'path': path,
                    'content': base64.b64encode(text.encode()).decode(),
                }
                for path, text in files.items()
            ],
            'runcmd': [],
        }
    )


class TestTrovesOwn(base.TestCase):
    INFO = '/etc/trove/conf.d/guest_info.conf'
    CONFIG = '/etc/trove/conf.d/trove-guestagent.conf'

    def test_what_belongs_to_the_version_is_taken_anew_and_what_is_the_servers_stays(self):
        document = parsed(
            render(
                as_trove_renders(),
                registry_ext='mariadb:trove.new.Manager',
                repl_strategy='trove.new.GTID',
                ssl_mode='ENFORCED',
            )
        )
        self.assertEqual(
            '[DEFAULT]\nguest_id=i1\ndatastore_manager=mariadb\ndatastore_version=11.8.6\ntenant_id=t1\n'
            'datastore_registry_ext=mariadb:trove.new.Manager\nreplication_strategy=trove.new.GTID\nssl_mode=ENFORCED\n'
            'network_isolation=True\ninstance_rpc_encr_key=S3cret\n',
            content_of(document, self.INFO),
        )
        self.assertEqual('[DEFAULT]\nhost=old\n', content_of(document, self.CONFIG))
        self.assertIn('fa:16:3e:00:00:01', content_of(document, user_data.ETH1_PATH))
        self.assertEqual('none', json.loads(content_of(document, user_data.DOCKER_PATH))['bridge'])
        self.assertEqual([], document['runcmd'])

    def test_settings_that_an_older_trove_did_not_write_are_added_once(self):
        older = as_trove_renders(
            **{self.INFO: '[DEFAULT]\nguest_id=i1\ndatastore_version=10.11.18\n'}
        )
        wanted = {'registry_ext': 'mariadb:trove.new.Manager', 'repl_strategy': 'trove.new.GTID'}
        once = render(older, **wanted)
        self.assertEqual(once, render(once, **wanted))
        self.assertEqual(
            '[DEFAULT]\ndatastore_registry_ext=mariadb:trove.new.Manager\nreplication_strategy=trove.new.GTID\n'
            'guest_id=i1\ndatastore_version=11.8.6\n',
            content_of(parsed(once), self.INFO),
        )

    def test_the_agents_configuration_is_the_operators_newest(self):
        document = parsed(
            render(as_trove_renders(), guest_config='[mariadb]\ndocker_image = r/mariadb\n')
        )
        self.assertEqual('[mariadb]\ndocker_image = r/mariadb\n', content_of(document, self.CONFIG))

    def test_a_server_that_had_no_configuration_of_the_agent_gets_it_beside_guest_info(self):
        bare = cloud_config({'path': '/opt/conf/guest_info.conf', 'content': GUEST_INFO})
        once = render(bare, guest_config='[mariadb]\n')
        self.assertEqual('[mariadb]\n', content_of(parsed(once), '/opt/conf/trove-guestagent.conf'))
        self.assertEqual(once, render(once, guest_config='[mariadb]\n'))

    def test_nothing_shuts_the_only_nic(self):
        document = parsed(render(as_trove_renders(), lone_nic=True))
        self.assertNotIn(user_data.ETH1_PATH, [entry['path'] for entry in document['write_files']])
        self.assertEqual(
            {'insecure-registries': ['r:5000']},
            json.loads(content_of(document, user_data.DOCKER_PATH)),
        )

    def test_the_marker_says_which_volume_and_where_our_agent_listens(self):
        document = parsed(
            render(as_trove_renders(), volume_uuid=UUID, guest_topic_prefix='trove-upgrade-guest.')
        )
        self.assertEqual(
            '[trove_upgrade]\nupgrade_marker = u:1\nupgrade_volume_uuid = '
            '6d1b1c5e-5f0e-4a53-9e0e-0d7d6c3b2a11\n'
            'guest_topic_prefix = trove-upgrade-guest.\n',
            content_of(document, user_data.MARKER_PATH),
        )

    def test_docker_settings_that_are_no_json_are_refused_where_they_must_change(self):
        broken = as_trove_renders(**{user_data.DOCKER_PATH: '{'})
        error = self.assertRaises(exceptions.StepRefused, render, broken, lone_nic=True)
        self.assertEqual('USER_DATA_UNREADABLE', error.code)
        render(broken)


class TestContainerRepositories(base.TestCase):
    """What a rebuilt guest takes container images from besides its docker_image."""

    def repositories(self, text, marker='u:1', **changes):
        found = content_of(parsed(render(text, marker, **changes)), user_data.MARKER_PATH)
        line = next(
            (
                line
                for line in found.splitlines()
                if line.startswith('upgrade_container_repositories')
            ),
            None,
        )
        return line.partition(' = ')[2] if line else None

    def server(self, image):
        return cloud_config(
            {'path': '/etc/trove/conf.d/trove-guestagent.conf', 'content': f'[mariadb]\n{image}'}
        )

    def test_those_of_the_version_are_written(self):
        self.assertIsNone(self.repositories(cloud_config()))
        self.assertEqual(
            'r:5000/a,b',
            self.repositories(cloud_config(), container_repositories=('r:5000/a', 'b', 'r:5000/a')),
        )

    def test_what_is_no_repository_is_not_written(self):
        for name in ('a\nb', 'a b', 'a:1', 'a,b', 'a]', 'a\u2028b', ''):
            self.assertIsNone(
                self.repositories(cloud_config(), container_repositories=(name,)), name
            )

    def test_a_way_back_finds_the_repository_that_the_operator_s_template_has_left(self):
        former = self.server('docker_image = old.example/mariadb\n')
        self.assertIsNone(self.repositories(former))
        self.assertIsNone(
            self.repositories(
                former, guest_config='[mariadb]\ndocker_image = old.example/mariadb\n'
            )
        )
        new = {'guest_config': '[mariadb]\ndocker_image = new.example/mariadb\n'}
        self.assertEqual('old.example/mariadb', self.repositories(former, **new))
        self.assertEqual('mariadb', self.repositories(self.server('tcp_ports = 3306\n'), **new))

    def test_they_stay_for_the_rebuilds_of_one_upgrade_and_go_with_the_next(self):
        new = {'guest_config': '[mariadb]\ndocker_image = new.example/mariadb\n'}
        first = render(
            self.server('docker_image = old.example/mariadb\n'),
            'u:1',
            container_repositories=('r.example/a',),
            **new,
        )
        self.assertEqual(
            'r.example/b,r.example/a,old.example/mariadb',
            self.repositories(first, 'u:2', container_repositories=('r.example/b',), **new),
        )
        self.assertIsNone(self.repositories(first, 'v:1', **new))


class TestRefusals(base.TestCase):
    def code(self, raw):
        return self.assertRaises(
            exceptions.StepRefused,
            user_data.render,
            raw,
            'u:1',
            user_data.Contents(datastore_version='1', datastore_manager='m'),
        ).code

    def test_each_has_its_code(self):
        self.assertEqual('USER_DATA_MISSING', self.code(None))
        self.assertEqual('USER_DATA_MISSING', self.code(b' \n'))
        self.assertEqual('USER_DATA_NOT_CLOUD_CONFIG', self.code(b'#!/bin/sh\n'))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(b'#cloud-config\na: [\n'))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(b'#cloud-config\n- a\n'))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(b'#cloud-config\nwrite_files: {a: b}\n'))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(b'\x1f\x8bjunk'))
        self.assertEqual(
            'USER_DATA_UNREADABLE',
            self.code(gzip.compress(b'#cloud-config\n{}')[:10] + b'\xff' * 30),
        )
        self.assertEqual('USER_DATA_UNREADABLE', self.code(b'MIME-Version: 1.0\n\nno parts\n'))
        self.assertEqual(
            'USER_DATA_UNREADABLE',
            self.code(
                b'#cloud-config\n'
                b'write_files: [{path: /guest_info, encoding: b64, content: "/w=="}]\n'
            ),
        )

    def test_longer_than_nova_takes_is_refused(self):
        self.assertEqual(
            'USER_DATA_TOO_LONG',
            self.code(cloud_config({'path': '/a', 'content': 'x' * 60000}).encode()),
        )

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.binary(max_size=200))
    def test_junk_is_refused_or_rendered_and_never_breaks(self, raw):
        for prefix in (b'', b'#cloud-config\n', b'Content-Type: multipart/mixed; boundary=x\n'):
            try:
                rendered = render(prefix + raw)
            except exceptions.StepRefused:
                continue
            self.assertIn(
                b'trove-upgrade-marker',
                gzip.decompress(rendered) if rendered.startswith(b'\x1f\x8b') else rendered,
            )


def modes_and_owners(rendered):
    return {
        entry['path']: (entry.get('permissions'), entry.get('owner'))
        for entry in parsed(rendered)['write_files']
    }


class TestWhoCanRead(base.TestCase):
    """The tenant reads by LOAD_FILE what the database server's user can read."""

    def test_trove_s_files_and_ours_are_their_owner_s_alone_who_is_the_user_of_trove_s_agent(self):
        for owner in ('ubuntu:root', 'trove:trove', 'root:root'):
            former = as_trove_renders(
                **{'/etc/trove/controller.conf': '[DEFAULT]\nhost = c\n'}
            ).replace('ubuntu:ubuntu', owner)
            found = modes_and_owners(render(former))
            of_docker = found.pop(user_data.DOCKER_PATH)
            self.assertEqual({('0600', owner)}, set(found.values()), found)
            self.assertIn(user_data.MARKER_PATH, found)
            self.assertEqual((None, owner), of_docker)

    def test_a_wider_mode_that_was_there_is_narrowed_whatever_its_form(self):
        for mode in ('0644', 0o644, '0755', '644', None):
            for path in (
                '/etc/trove/conf.d/guest_info.conf',
                '/etc//trove/conf.d/../conf.d/trove-guestagent.conf',
                'etc/trove/other.conf',
            ):
                entry = {'path': path, 'content': '[DEFAULT]\nguest_id = i\n', 'permissions': mode}
                self.assertEqual('0600', modes_and_owners(render(cloud_config(entry)))[path][0])

    def test_a_file_elsewhere_is_private_where_it_holds_the_account_of_an_agent(self):
        for line in (
            'transport_url = rabbit://u:p@b',
            '\ttransport_url: x',
            'RABBIT_PASSWORD=p',
            'instance_rpc_encr_key = k',
            'container_registry_password = p',
            'nova_proxy_admin_pass=p',
        ):
            found = modes_and_owners(
                render(cloud_config({'path': '/opt/agent.conf', 'content': f'[DEFAULT]\n{line}\n'}))
            )
            self.assertEqual('0600', found['/opt/agent.conf'][0], line)

    def test_what_the_server_or_others_must_read_keeps_its_mode(self):
        for path, text in (
            ('/etc/mysql/conf.d/a.cnf', '[client]\npassword = p\n'),
            ('/etc/motd', 'transport_url'),
            ('/etc/trovex/a', 'a'),
            ('/usr/local/bin/a', '#!/bin/sh\n'),
        ):
            found = modes_and_owners(
                render(cloud_config({'path': path, 'content': text, 'permissions': '0755'}))
            )
            self.assertEqual('0755', found[path][0])

    def test_the_operator_s_template_is_private_where_it_replaces_a_file_and_where_it_is_new(self):
        info = {
            'path': '/etc/trove/conf.d/guest_info.conf',
            'content': GUEST_INFO,
            'owner': 'ubuntu:root',
        }
        old = {
            'path': '/etc/trove/conf.d/trove-guestagent.conf',
            'content': 'a',
            'permissions': '0644',
            'owner': 'ubuntu:root',
        }
        for entries in ([info], [info, old]):
            found = modes_and_owners(
                render(
                    cloud_config(*entries),
                    guest_config='[DEFAULT]\ntransport_url = rabbit://u:p@b\n',
                )
            )
            self.assertEqual(('0600', 'ubuntu:root'), found[old['path']])

    def test_files_of_a_part_and_of_an_entry_that_is_fetched(self):
        outer = email.mime.multipart.MIMEMultipart()
        fetched = {'path': '/etc/trove/conf.d/more.conf', 'source': {'uri': 'http://192.0.2.1/x'}}
        outer.attach(
            email.mime.text.MIMEText(
                cloud_config({'path': '/etc/trove/a', 'content': 'a'}, fetched), 'cloud-config'
            )
        )
        _, part, marker = [
            '',
            *(
                part.get_payload(decode=True)
                for part in email.message_from_bytes(render(outer.as_bytes())).get_payload()
            ),
        ]
        self.assertEqual({('0600', None)}, set(modes_and_owners(part).values()))
        self.assertEqual({('0600', 'root:root')}, set(modes_and_owners(marker).values()))
