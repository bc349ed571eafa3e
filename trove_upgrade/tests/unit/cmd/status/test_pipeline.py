# SPDX-License-Identifier: Apache-2.0
import pathlib

import fixtures
from oslo_upgradecheck import upgradecheck

from trove_upgrade.cmd.status import pipeline
from trove_upgrade.tests.unit import base

#: What matters of Trove 26's file.
_TROVE = """
[composite:trove]
use = call:trove.common.wsgi:versioned_urlmap
/: versions
/v1.0: troveapi

[app:versions]
paste.app_factory = trove.versions:app_factory

[pipeline:troveapi]
pipeline = cors request_id authtoken authorization contextwrapper ratelimit extensions troveapp
#pipeline = debug extensions troveapp

[filter:extensions]
paste.filter_factory = trove.common.extensions:factory

[filter:authtoken]
paste.filter_factory = keystonemiddleware.auth_token:filter_factory

[app:troveapp]
paste.app_factory = trove.common.api:app_factory
"""
_FILTER = '\n[filter:trove_upgrade]\nuse = egg:trove-upgrade#upgrade\n'
_RIGHT = (
    _TROVE.replace(' extensions troveapp\n#', ' trove_upgrade extensions troveapp\n#') + _FILTER
)


class TestPipeline(base.TestCase):
    def check(self, text):
        path = pathlib.Path(self.useFixture(fixtures.TempDir()).path, 'api-paste.ini')
        path.write_text(text, encoding='utf-8')
        return pipeline.check(path)

    def assert_right(self, text):
        found = self.check(text)
        self.assertEqual(upgradecheck.Code.SUCCESS, found.code, found.details)

    def assert_wrong(self, text, *said):
        found = self.check(text)
        self.assertEqual(upgradecheck.Code.FAILURE, found.code, found.details)
        self.assertEqual([], [words for words in said if words not in found.details], found.details)

    def test_directly_before_troves_extensions_and_application_is_right(self):
        self.assert_right(_RIGHT)

    def test_directly_before_an_application_without_extensions_is_right(self):
        self.assert_right(
            _RIGHT.replace('trove_upgrade extensions troveapp', 'trove_upgrade troveapp')
        )

    def test_behind_troves_extensions_there_is_a_way_past_it(self):
        self.assert_wrong(
            _TROVE.replace(' troveapp\n#', ' trove_upgrade troveapp\n#') + _FILTER,
            'extensions come before it',
            '/mgmt/instances',
        )

    def test_every_way_to_name_it_is_right(self):
        for named in (
            'paste.filter_factory = trove_upgrade.api.app:filter_factory',
            'use = egg:trove_upgrade#upgrade',
            'use = call:trove_upgrade.api.app:filter_factory',
            'use = base\n[filter:base]\nuse = egg:trove-upgrade#upgrade',
        ):
            self.assert_right(_RIGHT.replace('use = egg:trove-upgrade#upgrade', named))

    def test_a_file_without_it_says_what_to_add(self):
        self.assert_wrong(_TROVE, 'has no filter of ours', '[filter:trove_upgrade]')

    def test_a_section_alone_does_nothing(self):
        self.assert_wrong(_TROVE + _FILTER, 'pipeline:troveapi is without it')

    def test_a_name_that_is_none_of_ours(self):
        self.assert_wrong(_RIGHT.replace('#upgrade', '#filter'), 'has no filter of ours')

    def test_too_far_in_front(self):
        self.assert_wrong(
            _TROVE.replace('ratelimit extensions', 'trove_upgrade ratelimit extensions') + _FILTER,
            'ratelimit stands between it and troveapp',
        )
        self.assert_wrong(
            _TROVE.replace('cors request_id', 'cors trove_upgrade request_id') + _FILTER,
            'no authtoken comes before it',
        )

    def test_twice(self):
        self.assert_wrong(_RIGHT.replace('ratelimit', 'ratelimit trove_upgrade'), 'has it 2 times')

    def test_in_another_pipeline(self):
        self.assert_wrong(
            _RIGHT + '\n[pipeline:other]\npipeline = trove_upgrade versions\n',
            'pipeline:other has it',
        )

    def test_as_filter_with(self):
        self.assert_wrong(
            _RIGHT.replace('[app:troveapp]', '[app:troveapp]\nfilter-with = trove_upgrade'),
            '[app:troveapp] has it as filter-with',
        )

    def test_a_second_pipeline_of_troves_without_it(self):
        self.assert_wrong(
            _RIGHT + '\n[pipeline:old]\npipeline = authtoken troveapp\n',
            'pipeline:old is without it',
        )

    def test_a_way_past_the_pipeline(self):
        self.assert_wrong(
            _RIGHT.replace('/: versions', '/: versions\n/v2: troveapp'),
            'leads to troveapp past every pipeline',
        )

    def test_no_authentication(self):
        self.assert_wrong(
            _RIGHT.replace(' authtoken authorization', ''), 'no authtoken comes before it'
        )

    def test_a_file_of_another_program(self):
        self.assert_wrong(
            _RIGHT.replace('trove.common.api:app_factory', 'nova.api:app_factory'),
            'no pipeline that ends in an application of Trove',
        )

    def test_a_file_that_cannot_be_read(self):
        self.assert_wrong('pipeline', 'cannot be read', 'api_paste_config')
        missing = pipeline.check(pathlib.Path('/does/not/exist'))
        self.assertEqual(upgradecheck.Code.FAILURE, missing.code)
        self.assertIn('/does/not/exist', missing.details)

    def test_sections_that_use_one_another_in_a_circle_end(self):
        self.assert_wrong(
            _TROVE + '\n[filter:a]\nuse = b\n[filter:b]\nuse = a\n', 'has no filter of ours'
        )
