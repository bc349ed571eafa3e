# SPDX-License-Identifier: Apache-2.0
"""The guest's job reads plain files alone: whatever else stands at a name is refused at once, never
waited for.
"""

import os
import pathlib

import fixtures

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.datastores.mysql_family import preserved
from trove_upgrade.guestagent.datastores.mysql_family.container.record import Records
from trove_upgrade.guestagent.jobs.journal import Journal
from trove_upgrade.guestagent.machine import durable, identity, untrusted_files
from trove_upgrade.guestagent.storage.layout import Layout
from trove_upgrade.guestagent.upgrade import mark_facts
from trove_upgrade.guestagent.upgrade.marks import Marks
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes, special_files


class TestSpecialFiles(base.TestCase):
    def setUp(self):
        super().setUp()
        self.place = pathlib.Path(self.useFixture(fixtures.TempDir()).path)

    def each(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        for kind in special_files.KINDS:
            special_files.make(path, kind)
            yield kind
            special_files.remove(path)

    def test_a_descriptor_is_given_for_plain_files_alone(self):
        path = self.place / 'file'
        for kind in self.each(path):
            self.assertRaises(OSError, untrusted_files.open_regular, path)
            if kind != 'socket':
                self.assertRaises(OSError, untrusted_files.open_regular, path, follow=True)
        path.write_text('text')
        (self.place / 'link').symlink_to(path)
        with os.fdopen(
            untrusted_files.open_regular(self.place / 'link', follow=True), 'rb'
        ) as stream:
            self.assertEqual(b'text', stream.read())

    def test_a_document_is_read_of_a_plain_file_alone(self):
        for _kind in self.each(self.place / 'document.json'):
            self.assertRaises(OSError, durable.read_json, self.place / 'document.json')

    def test_no_descriptor_is_left_open(self):
        before = len(list(pathlib.Path('/proc/self/fd').iterdir()))
        for _kind in self.each(self.place / 'document.json'):
            self.assertRaises(OSError, durable.read_json, self.place / 'document.json')
        self.assertEqual(before, len(list(pathlib.Path('/proc/self/fd').iterdir())))

    def test_a_document_without_end_is_not_read_to_its_end(self):
        path = self.place / 'document.json'
        path.write_text('{}')
        with path.open('r+b') as stream:
            stream.truncate(1 << 40)
        self.assertRaises(ValueError, durable.read_json, path)

    def test_a_mark_that_is_no_plain_file_counts_as_unreadable(self):
        layout = Layout(self.place)
        marks = Marks(layout)
        layout.on_volume.mkdir(parents=True, mode=0o700)
        layout.volume.chmod(0o755)
        for facts, path in (
            (mark_facts.QuiescedFacts, layout.state / 'marks/quiesced.json'),
            (mark_facts.UpgradedFacts, layout.on_volume / 'mark-upgraded.json'),
        ):
            for kind in self.each(path):
                self.assertTrue(marks.is_unreadable(facts.mark), kind)
                self.assertIsNone(marks.get(facts, fakes.UPGRADE))

    def test_generations_that_are_no_plain_file_count_as_none(self):
        layout = Layout(self.place)
        for _kind in self.each(layout.state / 'generations.json'):
            self.assertEqual(0, Marks(layout).highest_generation(fakes.UPGRADE))

    def test_a_marker_that_is_no_plain_file_counts_as_none(self):
        for kind in self.each(self.place / 'marker.conf'):
            self.assertIsNone(identity.read_marker(self.place / 'marker.conf'), kind)

    def test_a_job_that_is_no_plain_file_is_set_aside(self):
        path = self.place / f'{fakes.UPGRADE}.1.pre_upgrade.json'
        for kind in special_files.KINDS:
            special_files.make(path, kind)
            self.assertEqual([], Journal(self.place).all(), kind)
            special_files.remove(path.with_suffix('.broken'))

    def test_a_record_of_the_container_that_is_no_plain_file_is_broken(self):
        records = Records(self.place / 'database-container.json')
        for kind in self.each(records.path):
            error = self.assertRaises(exceptions.StepFailed, records.require)
            self.assertEqual('CONTAINER_RECORD_BROKEN', error.code, kind)

    def test_a_file_of_the_configuration_that_is_no_plain_file_is_not_as_it_was_shipped(self):
        path = self.place / 'my.cnf'
        for kind in self.each(path):
            if kind != 'directory':  # those are walked, not read
                self.assertFalse(
                    preserved._as_shipped(path, {path: 'd41d8cd98f00b204e9800998ecf8427e'}), kind
                )
        path.write_text('')
        self.assertTrue(preserved._as_shipped(path, {path: 'd41d8cd98f00b204e9800998ecf8427e'}))
