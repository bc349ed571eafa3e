# SPDX-License-Identifier: Apache-2.0
import pathlib

from lab.bare import place
from trove_upgrade.tests.unit import base


class PlaceTest(base.TestCase):
    def test_the_directory_that_is_named_is_not_the_one_that_is_locked_and_emptied(self):
        for named in ('/data', '/', '/home/'):
            found = place.Place.from_environ({place.VARIABLE: named})
            self.assertEqual(pathlib.Path(named, place.NAME), found.directory)
            self.assertEqual(found.directory, found.root.parent)

    def test_without_a_name_it_is_below_the_usual_one(self):
        for environ in ({}, {place.VARIABLE: ''}):
            self.assertEqual(
                pathlib.Path('/var/tmp/trove-upgrade-bare'),
                place.Place.from_environ(environ).directory,
            )
