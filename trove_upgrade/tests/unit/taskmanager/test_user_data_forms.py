# SPDX-License-Identifier: Apache-2.0
"""Whatever form a guest's user data has: it names the target version, or the upgrade is refused."""

import base64
import email
import gzip

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.cloud_init import documents, kinds, parts, write_files
from trove_upgrade.taskmanager import user_data
from trove_upgrade.tests import user_data_forms as forms
from trove_upgrade.tests.unit import base

WANTED = user_data.Contents(datastore_version='11.8.6', datastore_manager='mariadb')


def render(raw, marker='u:1', wanted=WANTED):
    return user_data.render(raw, marker, wanted)


def files(raw):
    return {path: content.decode() for path, content in documents.files(raw).items()}


def parts_of(rendered):
    return email.message_from_bytes(rendered).get_payload()


class TestForms(base.TestCase):
    def test_each_names_the_target_and_writes_all_else_as_before(self):
        for name, raw in forms.CHANGED.items():
            with self.subTest(name):
                written = files(render(raw))
                self.assertIn('upgrade_marker = u:1', written.pop(user_data.MARKER_PATH))
                before = {
                    path: text.replace('10.11.14', '11.8.6') for path, text in files(raw).items()
                }
                self.assertIn('11.8.6', ''.join(before.values()))
                self.assertEqual(before, written)

    def test_each_is_the_same_when_it_is_rendered_again(self):
        for name, raw in forms.CHANGED.items():
            with self.subTest(name):
                once = render(raw)
                self.assertEqual(once, render(once))
                self.assertIn(
                    'upgrade_marker = v:2', files(render(once, 'v:2'))[user_data.MARKER_PATH]
                )

    def test_what_would_keep_the_former_version_is_refused(self):
        for name, raw in forms.KEPT.items():
            with self.subTest(name):
                error = self.assertRaises(exceptions.StepRefused, render, raw)
                self.assertEqual('USER_DATA_UNREADABLE', error.code)

    def test_an_address_beside_a_readable_guest_info_is_sent_again(self):
        include = forms.part(f'#include\n{forms.ADDRESS}\n', 'x-include-url')
        rendered = render(forms.multipart(forms.part(forms.config(forms.entry())), include))
        self.assertIn('11.8.6', files(rendered)[forms.PATH])
        self.assertIn(forms.ADDRESS.encode(), rendered)


class TestHeaders(base.TestCase):
    def rendered_part(self, subtype='cloud-config', **headers):
        return parts_of(
            render(forms.multipart(forms.part(forms.config(forms.entry()), subtype, **headers)))
        )[0]

    def test_a_changed_part_keeps_every_header_of_its_own(self):
        headers = {
            'X-Merge-Type': forms.APPENDS,
            'Merge-Type': forms.LONG,
            'Content-Disposition': 'attachment; filename="of-trove.cfg"',
            'Launch-Index': '0',
            'X-Of-The-Operator': 'kept, too',
            'Content-Description': 'files of the agent',
        }
        part = self.rendered_part(
            **{name.replace('-', '_'): value for name, value in headers.items()}
        )
        self.assertEqual(headers, {name: part[name] for name in headers})
        self.assertIn(
            '11.8.6',
            base64.b64decode(
                documents.load(part.get_payload(decode=True))['write_files'][0]['content']
            ).decode(),
        )

    def test_the_type_stays_as_it_was_declared(self):
        for subtype in ('cloud-config', 'plain', 'x-shellscript'):
            self.assertEqual(f'text/{subtype}', self.rendered_part(subtype).get_content_type())

    def test_headers_of_the_message_stay(self):
        raw = b'X-Own: of the message\n' + forms.multipart(forms.part(forms.config(forms.entry())))
        self.assertEqual('of the message', email.message_from_bytes(render(raw))['X-Own'])

    def test_a_part_that_is_not_changed_keeps_its_bytes(self):
        raw = forms.multipart(
            forms.part(forms.config(forms.entry())), forms.SHELL, forms.part('naïve\n', 'x-own')
        )
        self.assertEqual(
            [part.as_bytes() for part in parts_of(raw)[1:]],
            [part.as_bytes() for part in parts_of(render(raw))[1:-1]],
        )


class TestMerging(base.TestCase):
    def test_no_files_in_a_part_stays_null(self):
        """An empty list would be another thing: a later part could add to it."""
        empty = forms.part('#cloud-config\nwrite_files:\n')
        raw = forms.multipart(empty, forms.part(forms.config(forms.entry())))
        self.assertEqual(parts_of(raw)[0].as_bytes(), parts_of(render(raw))[0].as_bytes())

    def test_the_part_of_the_marker_appends(self):
        marker = parts_of(render(forms.multipart(forms.EARLIER)))[-1].get_payload(decode=True)
        self.assertIn('list(append)', documents.load(marker)['merge_how'])


class TestFurtherUpgrades(base.TestCase):
    def test_the_agents_configuration_of_an_upgrade_before_stays(self):
        raw = forms.multipart(forms.part(forms.config(forms.entry())))
        first = render(
            raw,
            wanted=user_data.Contents(
                datastore_version='11.4.1',
                datastore_manager='mariadb',
                guest_config='[mariadb]\ndocker_image = r\n',
            ),
        )
        self.assertEqual(
            '[mariadb]\ndocker_image = r\n',
            files(render(first, 'v:2'))['/etc/trove/conf.d/trove-guestagent.conf'],
        )

    def test_a_configuration_in_pieces_or_at_an_address_becomes_the_operators(self):
        path = '/etc/trove/conf.d/trove-guestagent.conf'
        raw = forms.config(
            forms.entry(),
            {'path': path, 'content': 'old', 'source': {'uri': forms.ADDRESS}},
            {'path': path, 'content': 'more', 'append': True},
        ).encode()
        rendered = render(
            raw,
            wanted=user_data.Contents(
                datastore_version='1', datastore_manager='mariadb', guest_config='new\n'
            ),
        )
        self.assertEqual('new\n', files(rendered)[path])
        self.assertNotIn(forms.ADDRESS.encode(), rendered)


class TestOldNova(base.TestCase):
    def test_files_that_the_kept_user_data_would_overwrite_are_named(self):
        raw = forms.config(forms.entry(), {'path': '/a', 'content': 'same'}).encode()
        self.assertEqual([forms.PATH], user_data.overwritten(raw, render(raw)))
        self.assertEqual([], user_data.overwritten(raw, raw))
        self.assertEqual([], user_data.overwritten(None, render(raw)))


class TestEntries(base.TestCase):
    ENCODINGS = (
        '',
        'b64',
        'base64',
        'gz',
        'gzip',
        'gz+b64',
        'gz+base64',
        'gzip+b64',
        'gzip+base64',
        'text/plain',
        'unknown',
    )

    @settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(
        st.text(st.characters(codec='utf-8', exclude_categories=['Cs'])),
        st.sampled_from(ENCODINGS),
        st.booleans(),
    )
    def test_what_is_put_into_an_entry_is_read_from_it(self, text, encoding, is_upper):
        entry = {'path': '/a', 'encoding': encoding.upper() if is_upper else encoding}
        self.assertEqual(text, write_files.text_of(write_files.with_text(entry, text)))

    def test_no_content_is_an_empty_file(self):
        for encoding in self.ENCODINGS:
            self.assertEqual(b'', write_files.content_of({'path': '/a', 'encoding': encoding}))


class TestKinds(base.TestCase):
    def test_the_content_decides_where_the_type_tells_nothing(self):
        for declared in ('text/plain', 'text/x-not-multipart', 'text/x-shellscript'):
            self.assertIs(
                kinds.Kind.ARCHIVE, kinds.of_part(declared, b' \n#Cloud-Config-Archive\n')
            )
        self.assertIs(kinds.Kind.CLOUD_CONFIG, kinds.of_part('text/cloud-config', b'#!/bin/sh\n'))
        self.assertIs(kinds.Kind.OTHER, kinds.of_part('text/html', b'#cloud-config\n'))

    def test_files_of_every_form_are_injected_where_nova_takes_no_user_data(self):
        for name, raw in forms.CHANGED.items():
            self.assertIn('datastore_version=', ''.join(files(raw).values()), name)

    def test_compression_is_undone_and_done_again(self):
        self.assertEqual(b'x', parts.unpacked(parts.packed(b'x')))
        self.assertRaises(parts.PartUnreadable, parts.unpacked, gzip.compress(b'x' * 99)[:20])


class TestServiceUser(base.TestCase):
    """The database's container and its data keep the numbers of the day on which the instance was
    created.
    """

    CONFIG = '/etc/trove/conf.d/trove-guestagent.conf'

    def raw(self, text):
        return forms.config(forms.entry(), {'path': self.CONFIG, 'content': text}).encode()

    def marker(self, raw, new):
        wanted = user_data.Contents(
            datastore_version='11.8.6', datastore_manager='mariadb', guest_config=new
        )
        return files(render(raw, wanted=wanted))[user_data.MARKER_PATH]

    def test_numbers_that_the_operator_has_changed_since_are_kept_for_this_server(self):
        cases = (
            ('', '[DEFAULT]\ndatabase_service_uid = 1100\n', '1001', '1001'),
            ('[DEFAULT]\ndatabase_service_uid=999\n', '', '999', '999'),
            (
                '[mariadb]\ndatabase_service_uid=998\n',
                '[mysql]\ndatabase_service_uid=998\n',
                '998',
                '998',
            ),
            (
                '[mariadb]\ndatabase_service_gid=5\n',
                '[mariadb]\ndatabase_service_gid=6\n',
                '1001',
                '5',
            ),
        )
        for former, new, uid, gid in cases:
            self.assertIn(
                f'[mariadb]\ndatabase_service_uid = {uid}\ndatabase_service_gid = {gid}\n',
                self.marker(self.raw(former), new),
            )

    def test_the_same_numbers_need_nothing(self):
        for former, new in (
            ('', ''),
            ('', '[DEFAULT]\ndatabase_service_uid=1001\n'),
            ('[mysql]\ndatabase_service_uid=5\n', None),
        ):
            self.assertNotIn('database_service', self.marker(self.raw(former), new))

    def test_a_server_whose_configuration_is_not_known_is_told_nothing(self):
        raw = forms.config(forms.entry()).encode()
        self.assertNotIn(
            'database_service', self.marker(raw, '[DEFAULT]\ndatabase_service_uid = 1100\n')
        )

    def test_a_further_upgrade_keeps_them_with_and_without_a_template(self):
        changed = '[DEFAULT]\ndatabase_service_uid = 1100\n'
        first = render(
            self.raw(''),
            wanted=user_data.Contents(
                datastore_version='11.4', datastore_manager='mariadb', guest_config=changed
            ),
        )
        for new in (changed, None):
            self.assertIn('database_service_uid = 1001\n', self.marker(first, new))
        self.assertNotIn('database_service', self.marker(first, ''))

    def test_a_file_that_no_agent_could_read_ends_nothing(self):
        self.assertIn('upgrade_marker', self.marker(self.raw('junk\n'), '[DEFAULT]\n'))
