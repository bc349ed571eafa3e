# SPDX-License-Identifier: Apache-2.0
import pathlib
import tempfile

from lab import packages
from trove_upgrade.tests.unit import base

BINDEP = """
# a comment
haproxy [platform:dpkg lab]
gcc [platform:dpkg lab compile]  # for uWSGI
git [platform:dpkg test]
epel-release [platform:rpm lab]
always
"""


class PackagesTest(base.TestCase):
    def test_only_debian_packages_of_the_profile_are_wanted(self):
        self.assertEqual(['haproxy', 'gcc'], packages.wanted(BINDEP))

    def test_the_projects_own_file_lists_what_the_lab_starts(self):
        names = packages.wanted(packages.bindep_file().read_text())
        for name in ('mariadb-server-core', 'rabbitmq-server', 'haproxy', 'mmdebstrap'):
            self.assertIn(name, names)

    def test_services_are_known_by_their_scripts_and_units(self):
        found = packages.services_in(
            '/etc/init.d/haproxy\n/lib/systemd/system/haproxy.service\n/lib/systemd/system/epmd.socket\n'
            '/lib/systemd/system/epmd@.service\n/usr/share/doc/x.service\n/etc/init.d\n'
        )
        self.assertEqual(packages.Services(('haproxy',), ('epmd.socket', 'haproxy.service')), found)

    def test_while_packages_are_installed_no_service_may_start(self):
        policy = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'policy-rc.d'
        with packages.no_service_starts(policy):
            self.assertIn('exit 101', policy.read_text())
            self.assertTrue(policy.stat().st_mode & 0o100)
        self.assertFalse(policy.exists())

    def test_it_is_taken_away_after_a_failure_too(self):
        policy = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'policy-rc.d'

        def fail():
            with packages.no_service_starts(policy):
                raise RuntimeError

        self.assertRaises(RuntimeError, fail)
        self.assertFalse(policy.exists())

    def test_a_policy_of_the_machine_stays_as_it_is(self):
        policy = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory())) / 'policy-rc.d'
        policy.write_text('mine')
        with packages.no_service_starts(policy):
            self.assertEqual('mine', policy.read_text())
        self.assertEqual('mine', policy.read_text())
