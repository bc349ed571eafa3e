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
GUEST_INFO = '[DEFAULT]\nguest_id = i1\ndatastore_manager = mariadb\ndatastore_version = 10.11.14\ntenant_id = t\n'

_PATHS = st.text(st.characters(codec='utf-8', exclude_categories=['Cs', 'Cc']), min_size=1).filter(
    lambda path: 'guest_info' not in path and path != user_data.MARKER_PATH)
_TEXT = st.text(st.characters(codec='utf-8', exclude_categories=['Cs']))
_ENTRY = st.fixed_dictionaries({'path': _PATHS, 'content': _TEXT}, optional={'permissions': st.sampled_from(['0600', '0644'])})


def render(text, marker='u:1', **changes):
    raw = text if isinstance(text, bytes) else text.encode()
    return user_data.render(raw, marker, user_data.Wanted(**{'datastore_version': '11.8.6', 'datastore_manager': 'mariadb', **changes}))


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
        self.assertEqual('[trove_upgrade]\nupgrade_marker = u:1\n', content_of(document, user_data.MARKER_PATH))

    def test_no_value_becomes_a_second_option(self):
        for character in '\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\x1b\x7f':
            for name in ('datastore_version', 'datastore_manager', 'registry_ext', 'repl_strategy', 'ssl_mode', 'guest_topic_prefix', 'volume_uuid'):
                value = f'{UUID}{character}transport_url = rabbit://e@e/'
                error = self.assertRaises(exceptions.StepRefused, render, cloud_config(), **{name: value})
                self.assertEqual('USER_DATA_VALUE_INVALID', error.code)
                self.assertIn(name if name != 'registry_ext' else 'datastore_registry_ext', error.message.replace('replication_strategy', 'repl_strategy'))
            self.assertRaises(exceptions.StepRefused, render, cloud_config(), f'u:1{character}x = y')
        self.assertRaises(exceptions.StepRefused, render, cloud_config(), volume_uuid='$transport_url')

    def test_a_second_upgrade_replaces_the_marker(self):
        document = parsed(render(render(cloud_config()), 'v:3'))
        self.assertIn('upgrade_marker = v:3', content_of(document, user_data.MARKER_PATH))

    def test_guest_info_names_the_target_version_and_keeps_the_rest(self):
        for encoding, content in (('b64', base64.b64encode(GUEST_INFO.encode()).decode()), (None, GUEST_INFO)):
            entry = {'path': '/etc/trove/conf.d/guest_info.conf', 'content': content}
            document = parsed(render(cloud_config({**entry, 'encoding': encoding} if encoding else entry)))
            self.assertEqual(GUEST_INFO.replace('10.11.14', '11.8.6'), content_of(document, entry['path']))

    def test_a_line_that_is_not_there_is_not_added(self):
        entry = {'path': '/etc/guest_info', 'content': '[DEFAULT]\nguest_id=i\n'}
        self.assertEqual(entry['content'], content_of(parsed(render(cloud_config(entry))), '/etc/guest_info'))

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(_ENTRY, unique_by=lambda entry: entry['path'], max_size=5), st.dictionaries(st.sampled_from(['runcmd', 'hostname']), _TEXT))
    def test_every_other_entry_comes_back_the_same(self, entries, more):
        document = parsed(render(cloud_config(*entries, **more)))
        self.assertEqual(entries, document['write_files'][:-1])
        self.assertEqual(more, {key: value for key, value in document.items() if key != 'write_files'})

    @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.lists(_ENTRY, max_size=3))
    def test_rendering_twice_is_rendering_once(self, entries):
        once = render(cloud_config(*entries))
        self.assertEqual(once, render(once))

    def test_compressed_stays_compressed(self):
        rendered = render(gzip.compress(cloud_config().encode()))
        self.assertIn('upgrade_marker', content_of(parsed(gzip.decompress(rendered)), user_data.MARKER_PATH))

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
        return [part.get_payload(decode=True).decode() for part in email.message_from_bytes(rendered).get_payload()]

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
    """What Trove 26 makes, by yaml.dump: its keys come sorted, each file in base64, no permissions."""
    info = ('[DEFAULT]\nguest_id=i1\ndatastore_manager=mariadb\ndatastore_version=10.11.18\ntenant_id=t1\n'
            'datastore_registry_ext=mariadb:trove.old.Manager\nreplication_strategy=trove.old.GTID\nssl_mode=None\n'
            'network_isolation=True\ninstance_rpc_encr_key=S3cret\n')
    files = {'/etc/trove/conf.d/guest_info.conf': info, '/etc/trove/conf.d/trove-guestagent.conf': '[DEFAULT]\nhost=old\n',
             user_data.ETH1_PATH: '{"mac_address": "fa:16:3e:00:00:01"}',
             user_data.DOCKER_PATH: json.dumps({'bridge': 'none', 'ip-forward': False, 'iptables': False, 'insecure-registries': ['r:5000']}),
             **more}
    return '#cloud-config\n' + yaml.dump({'write_files': [
        {'encoding': 'b64', 'owner': 'ubuntu:ubuntu', 'path': path, 'content': base64.b64encode(text.encode()).decode()}
        for path, text in files.items()], 'runcmd': []})


class TestTrovesOwn(base.TestCase):

    INFO = '/etc/trove/conf.d/guest_info.conf'
    CONFIG = '/etc/trove/conf.d/trove-guestagent.conf'

    def test_what_belongs_to_the_version_is_taken_anew_and_what_is_the_servers_stays(self):
        document = parsed(render(as_trove_renders(), registry_ext='mariadb:trove.new.Manager', repl_strategy='trove.new.GTID',
                                 ssl_mode='ENFORCED'))
        self.assertEqual(
            '[DEFAULT]\nguest_id=i1\ndatastore_manager=mariadb\ndatastore_version=11.8.6\ntenant_id=t1\n'
            'datastore_registry_ext=mariadb:trove.new.Manager\nreplication_strategy=trove.new.GTID\nssl_mode=ENFORCED\n'
            'network_isolation=True\ninstance_rpc_encr_key=S3cret\n', content_of(document, self.INFO))
        self.assertEqual('[DEFAULT]\nhost=old\n', content_of(document, self.CONFIG))
        self.assertIn('fa:16:3e:00:00:01', content_of(document, user_data.ETH1_PATH))
        self.assertEqual('none', json.loads(content_of(document, user_data.DOCKER_PATH))['bridge'])
        self.assertEqual([], document['runcmd'])

    def test_settings_that_an_older_trove_did_not_write_are_added_once(self):
        older = as_trove_renders(**{self.INFO: '[DEFAULT]\nguest_id=i1\ndatastore_version=10.11.18\n'})
        wanted = {'registry_ext': 'mariadb:trove.new.Manager', 'repl_strategy': 'trove.new.GTID'}
        once = render(older, **wanted)
        self.assertEqual(once, render(once, **wanted))
        self.assertEqual('[DEFAULT]\ndatastore_registry_ext=mariadb:trove.new.Manager\nreplication_strategy=trove.new.GTID\n'
                         'guest_id=i1\ndatastore_version=11.8.6\n', content_of(parsed(once), self.INFO))

    def test_the_agents_configuration_is_the_operators_newest(self):
        document = parsed(render(as_trove_renders(), guest_config='[mariadb]\ndocker_image = r/mariadb\n'))
        self.assertEqual('[mariadb]\ndocker_image = r/mariadb\n', content_of(document, self.CONFIG))

    def test_a_server_that_had_no_configuration_of_the_agent_gets_it_beside_guest_info(self):
        bare = cloud_config({'path': '/opt/conf/guest_info.conf', 'content': GUEST_INFO})
        once = render(bare, guest_config='[mariadb]\n')
        self.assertEqual('[mariadb]\n', content_of(parsed(once), '/opt/conf/trove-guestagent.conf'))
        self.assertEqual(once, render(once, guest_config='[mariadb]\n'))

    def test_nothing_shuts_the_only_nic(self):
        document = parsed(render(as_trove_renders(), lone_nic=True))
        self.assertNotIn(user_data.ETH1_PATH, [entry['path'] for entry in document['write_files']])
        self.assertEqual({'insecure-registries': ['r:5000']}, json.loads(content_of(document, user_data.DOCKER_PATH)))

    def test_the_marker_says_which_volume_and_where_our_agent_listens(self):
        document = parsed(render(as_trove_renders(), volume_uuid=UUID, guest_topic_prefix='trove-upgrade-guest.'))
        self.assertEqual('[trove_upgrade]\nupgrade_marker = u:1\nupgrade_volume_uuid = 6d1b1c5e-5f0e-4a53-9e0e-0d7d6c3b2a11\n'
                         'guest_topic_prefix = trove-upgrade-guest.\n', content_of(document, user_data.MARKER_PATH))

    def test_docker_settings_that_are_no_json_are_refused_where_they_must_change(self):
        broken = as_trove_renders(**{user_data.DOCKER_PATH: '{'})
        error = self.assertRaises(exceptions.StepRefused, render, broken, lone_nic=True)
        self.assertEqual('USER_DATA_UNREADABLE', error.code)
        render(broken)


class TestRefusals(base.TestCase):

    def code(self, raw):
        return self.assertRaises(exceptions.StepRefused, user_data.render, raw, 'u:1', user_data.Wanted('1', 'm')).code

    def test_each_has_its_code(self):
        self.assertEqual('USER_DATA_MISSING', self.code(None))
        self.assertEqual('USER_DATA_MISSING', self.code(b' \n'))
        self.assertEqual('USER_DATA_NOT_CLOUD_CONFIG', self.code(b'#!/bin/sh\n'))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(b'#cloud-config\na: [\n'))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(b'#cloud-config\n- a\n'))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(b'#cloud-config\nwrite_files: {a: b}\n'))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(b'\x1f\x8bjunk'))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(gzip.compress(b'#cloud-config\n{}')[:10] + b'\xff' * 30))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(b'MIME-Version: 1.0\n\nno parts\n'))
        self.assertEqual('USER_DATA_UNREADABLE', self.code(
            b'#cloud-config\nwrite_files: [{path: /guest_info, encoding: b64, content: "/w=="}]\n'))

    def test_longer_than_nova_takes_is_refused(self):
        self.assertEqual('USER_DATA_TOO_LONG', self.code(cloud_config({'path': '/a', 'content': 'x' * 60000}).encode()))

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(st.binary(max_size=200))
    def test_junk_is_refused_or_rendered_and_never_breaks(self, raw):
        for prefix in (b'', b'#cloud-config\n', b'Content-Type: multipart/mixed; boundary=x\n'):
            try:
                rendered = render(prefix + raw)
            except exceptions.StepRefused:
                continue
            self.assertIn(b'trove-upgrade-marker', gzip.decompress(rendered) if rendered.startswith(b'\x1f\x8b') else rendered)
