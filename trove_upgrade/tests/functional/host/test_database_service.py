# SPDX-License-Identifier: Apache-2.0
"""The scripts of the guest's database service, run as root in namespaces of the test's own; the
server is a stand-in.
"""

import pathlib
import shutil
import subprocess
import tempfile

from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host import private_mariadb

SCRIPTS = pathlib.Path(__file__).parents[4] / 'etc/trove-upgrade/guest'
SERVICE = '/etc/init.d/trove-upgrade-database'
LIMIT_SECONDS = 60

#: A guest as after its upgrade: what is written stays in memory and goes with the namespace.
ENTER = r"""
set -e
mount -t tmpfs -o mode=755 none "$HERE/memory"
for place in /etc /usr/bin /usr/sbin /usr/lib; do
    mkdir -p "$HERE/memory/upper$place" "$HERE/memory/work$place"
    mount -t overlay \
        -o "lowerdir=$place,upperdir=$HERE/memory/upper$place,workdir=$HERE/memory/work$place" \
        none "$place"
done
for place in /var/log /var/lib /run /root; do mount -t tmpfs -o mode=755 none "$place"; done
mkdir /var/lib/mysql /run/trove-upgrade /etc/trove-upgrade /usr/lib/trove-upgrade
mount -t tmpfs -o mode=755 none /var/lib/mysql
mkdir /var/lib/mysql/data
sed -i '/^mysql:/d' /etc/passwd /etc/group
echo 'mysql:x:64321:64321::/nonexistent:/bin/false' >> /etc/passwd
echo 'mysql:x:64321:' >> /etc/group
echo UUID-1 > /etc/trove-upgrade/volume-uuid
printf '#!/bin/sh\necho UUID-1\n' > /usr/sbin/blkid
printf '#!/bin/sh\necho /dev/x\n' > /usr/bin/findmnt
printf '#!/bin/sh\nid -un >&2\necho "of the tenant" >&2\n' > /usr/sbin/mariadbd
chmod 755 /usr/sbin/blkid /usr/bin/findmnt /usr/sbin/mariadbd
cp "$SCRIPTS"/lib/* /usr/lib/trove-upgrade
cp "$SCRIPTS"/init.d/* /etc/init.d
chmod 755 /usr/lib/trove-upgrade/* /etc/init.d/trove-upgrade-*
echo 'of root' > /root/secret
chmod 700 /root
log=/var/log/mysql/error.log
start() { /usr/lib/trove-upgrade/database-run; }
as_mysql() { setpriv --reuid=mysql --regid=mysql --clear-groups -- sh -c "$1"; }
start
"""


class TestTheScripts(base.TestCase):
    def run_in_a_guest(self, script):
        here = pathlib.Path(tempfile.mkdtemp(prefix='tu-service-', dir=private_mariadb.PLACE))
        self.addCleanup(shutil.rmtree, here)
        (here / 'memory').mkdir()
        shutil.copytree(
            SCRIPTS, here / 'scripts'
        )  # the checkout may be below /root, which the guest hides
        done = subprocess.run(
            [
                'unshare',
                '--mount',
                '--propagation',
                'private',
                '--pid',
                '--fork',
                '--kill-child',
                '--mount-proc',
                'sh',
                '-c',
                ENTER + script,
            ],
            env={
                'HERE': str(here),
                'SCRIPTS': str(here / 'scripts'),
                'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
            },
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
        )
        self.assertEqual(0, done.returncode, done.stdout + done.stderr)
        return done.stdout

    def test_the_log_is_the_server_s_and_each_start_adds_to_it(self):
        found = self.run_in_a_guest('start; stat -c "%U %a" "$log"; cat "$log"')
        self.assertEqual(['mysql 660', *['mysql', 'of the tenant'] * 2], found.splitlines())

    def test_the_socket_s_directory_is_closed_to_others_as_long_as_the_first_start_lasts(self):
        found = self.run_in_a_guest(
            'look() { stat -c "%U %a" /run/mysqld; }; args=/run/trove-upgrade/database-args; look; '
            'echo --event-scheduler=OFF > "$args"; start; look; rm "$args"; start; look'
        )
        self.assertEqual(['mysql 755', 'mysql 700', 'mysql 755'], found.splitlines())

    def test_a_log_that_is_a_link_to_a_file_of_root_s_is_not_written_to(self):
        found = self.run_in_a_guest(
            'as_mysql "ln -sf /root/secret $log"; start; cat /root/secret; stat -c "%F" "$log"'
        )
        self.assertEqual(['of root', 'regular file'], found.splitlines())

    def test_a_log_that_is_a_link_makes_no_file_of_root_s(self):
        self.run_in_a_guest(
            'as_mysql "ln -sf /etc/ld.so.preload $log"; start; ! test -e /etc/ld.so.preload'
        )

    def test_a_log_that_is_a_pipe_or_of_root_s_is_set_aside_and_the_server_starts(self):
        self.assertIn(
            'of the tenant',
            self.run_in_a_guest('as_mysql "rm $log; mkfifo $log"; start; cat "$log"'),
        )
        found = self.run_in_a_guest(
            'rm "$log"; echo "of an earlier release" > "$log"; start; cat "$log" "$log.set-aside"'
        )
        self.assertEqual(['mysql', 'of the tenant', 'of an earlier release'], found.splitlines())

    def server(self, *lines):
        """Shell for a stand-in of these `lines`."""
        return (
            "printf '%s\\n' '#!/bin/sh' "
            + ' '.join(f"'{line}'" for line in lines)
            + ' > /usr/sbin/mariadbd; '
        )

    def test_the_last_words_of_a_server_that_ended_are_read_as_its_user(self):
        starts = f'! {SERVICE} start 2>&1'
        self.assertIn('of the tenant', self.run_in_a_guest(starts))
        for what in ('ln -s /root/secret', 'mkfifo'):
            found = self.run_in_a_guest(
                self.server(f'rm /var/log/mysql/error.log; {what} /var/log/mysql/error.log')
                + starts
            )
            self.assertIn('the server ended', found)
            self.assertNotIn('of root', found)

    def test_the_service_is_running_while_its_server_is(self):
        server = self.server('echo $$ > /run/mysqld/trove-upgrade-database.pid', 'exec mysqld 50')
        found = self.run_in_a_guest(
            f'cp /usr/bin/sleep /usr/bin/mysqld; {server} {SERVICE} start; {SERVICE} status; '
            f'{SERVICE} stop;{SERVICE} status || echo "code $?"'
        )
        self.assertRegex(
            found,
            r'(?s)is running, process (\d+).*is running, process \1.*is stopped'
            r'.*is not running.*code 3',
        )
