# SPDX-License-Identifier: Apache-2.0
"""Faults of the SSH server and of the login in real old guests."""

from trove_upgrade.tests.old_cloud.faults_case import FaultsTestCase
from trove_upgrade.tests.old_cloud.moments import MOMENTS

#: The one that listens; sessions have processes of their own.
LISTENER = 'pgrep -o -x sshd'
AUTHORIZED = '/root/.ssh/authorized_keys'
[ON_ITS_WAY] = [one for one in MOMENTS if one.name == 'the bundle is on its way']


class TestSshServer(FaultsTestCase):
    def reached(self):
        return self.tried('reach', '--instance', self.instance.id)

    def test_one_that_is_stopped_refuses_and_the_line_tells_to_start_it(self):
        with self.changed('service ssh stop', 'service ssh start'):
            ended = self.reached()
            self.assert_failed(
                ended, 'REACH_REFUSED', 'Connection refused', 'runs its SSH server there'
            )
        self.assert_is_reached()

    def test_one_that_hangs_is_told_from_a_port_that_is_closed(self):
        with self.changed(f'kill -STOP $({LISTENER})', f'kill -CONT $({LISTENER})'):
            ended = self.reached()
            self.assert_failed(
                ended,
                'REACH_SILENT',
                'has taken the connection',
                'within 15.0 s',
                'Look at the load of the guest',
            )
        self.assert_is_reached()

    def test_a_login_that_is_not_allowed_any_more_names_the_account_and_what_was_tried(self):
        with self.changed(
            f'mv {AUTHORIZED} {AUTHORIZED}.kept', f'mv {AUTHORIZED}.kept {AUTHORIZED}'
        ):
            ended = self.reached()
            self.assert_failed(ended, 'LOGIN_REFUSED', 'The login of root', '--accounts')
        self.assert_is_reached()

    def test_another_host_key_stops_the_guest_until_an_operator_has_forgotten_the_pinned_one(self):
        self.assert_is_reached()
        kept = '/etc/ssh/kept'
        replaced = f'mkdir {kept} && mv /etc/ssh/ssh_host_* {kept} && ssh-keygen -A'
        back = f'rm /etc/ssh/ssh_host_* && mv {kept}/* /etc/ssh/ && rmdir {kept}'
        forget = ('forget-host-key', self.instance.server_id)
        self.addCleanup(self.bridge, *forget)
        with self.changed(replaced, back):
            ended = self.reached()
            self.assert_failed(ended, 'HOST_KEY_CHANGED', 'compare the new fingerprint')
            self.assertEqual(0, self.bridge(*forget).returncode)
            self.assert_is_reached()

    def test_one_that_ends_all_sessions_during_the_upload_loses_nothing_in_the_guest(self):
        ended = self.while_at(
            ON_ITS_WAY,
            lambda: self.in_guest('pkill -f "[s]shd: root"'),
            'run',
            *('--instance', self.instance.id),
        )
        self.assert_failed(ended, 'REACH_LOST', 'was lost')
        self.assert_is_brought_in()
