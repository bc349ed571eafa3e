# SPDX-License-Identifier: Apache-2.0
from trove_upgrade.guestagent.datastores.image_facts import ImageFacts
from trove_upgrade.tests.unit import base


class ImageFactsTest(base.TestCase):
    def test_of_all_that_a_build_records_the_agent_reads_three_facts(self):
        self.assertEqual(
            ImageFacts(
                server_version='11.8.6',
                database_runtime='service',
                option_groups=('mariadbd', 'mariadb-11.8'),
            ),
            ImageFacts.from_json(
                {
                    'server_version': '11.8.6',
                    'database_runtime': 'service',
                    'option_groups': ['mariadbd', 'mariadb-11.8'],
                    'options': ['port'],
                    'os': 'debian 13',
                    'container_image': None,
                }
            ),
        )

    def test_a_build_that_records_nothing_tells_nothing(self):
        nothing = {'server_version': None, 'database_runtime': None, 'option_groups': None}
        for document in ({}, nothing):
            self.assertEqual(ImageFacts(), ImageFacts.from_json(document))

    def test_facts_of_another_form_keep_no_agent_from_its_start(self):
        found = ImageFacts.from_json(
            {'server_version': 11.8, 'database_runtime': ['container'], 'option_groups': 5}
        )
        self.assertEqual(ImageFacts(server_version='11.8'), found)
        mixed = ImageFacts.from_json({'option_groups': ['mysqld', {}, None]})
        self.assertEqual(('mysqld',), mixed.option_groups)
