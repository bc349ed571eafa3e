# SPDX-License-Identifier: Apache-2.0
"""Guests whose database runs in a container: a real engine, the agents of Trove and of ours, and a
volume that comes raw.
"""

import dataclasses
import http.client
import json
import pathlib
import re
import subprocess
import textwrap
import uuid

from lab.hypervisor.spec import GuestSpec
from lab.hypervisor.volume import GIB
from lab.images import recipes
from lab.servers import Network, Port
from trove_upgrade.tests.functional.host.test_guest_agent import PYTHON
from trove_upgrade.tests.functional.host.test_lab_guests import ADDRESS, GuestTestCase

GATEWAY = '10.0.0.1'
#: An image of nothing but links: the programs are the guest's own, bound into the container.
IMPORT = (
    'mkdir -p /tmp/i && cd /tmp/i && ln -sfn usr/bin bin && ln -sfn usr/lib lib && ln -sfn '
    'usr/lib64 lib64 && tar -c . | docker import - tiny:1'
)
SERVE = """docker run --detach --name database --restart unless-stopped --privileged --publish \
3306:80 --volume /usr:/usr:ro \
    --volume /etc:/etc:ro --health-cmd 'python3 -c "import socket; \
socket.create_connection((\\"127.0.0.1\\", 80), 1)"' \
    --health-interval 1s tiny:1 python3 -m http.server 80"""
TROVE_CONFIGURATION = textwrap.dedent("""\
    #cloud-config
    write_files:
    - path: /etc/trove/conf.d/guest_info.conf
      content: |
        [DEFAULT]
        guest_id = one
        datastore_manager = mariadb
        datastore_version = 10.11
    - path: /etc/trove/conf.d/trove-guestagent.conf
      content: |
        [DEFAULT]
        transport_url = rabbit://nobody:none@10.0.0.1:5672/
        log_dir = /var/log/trove
        log_file = trove-guestagent.log
        [mariadb]
        device_path = /dev/vdb
        mount_point = /var/lib/mysql
""").encode()
#: Trove's agent has a broker's refusal told by eventlet, which names the error so; ours does not
#: use it.
REACHED = re.compile('Connection failed: .*ECONNREFUSED')


#: Our client against the guest's own engine: all that an upgrade asks of it, with the image of
#: nothing but links.
CLIENT = textwrap.dedent("""\
    from trove_upgrade import clock
    from trove_upgrade.guestagent.machine.containers import docker_engine as engine, http

    client = engine.DockerEngine(http.UnixTransport(engine.SOCKET), clock.SystemClock())
    image, before = client.image('tiny:1'), client.inspect('database')
    client.stop('database', seconds=10)
    client.remove('database', force=True)
    client.create('database', before.definition, image=image.id, restart='unless-stopped')
    client.start('database')
    done = client.exec('database', ['python3', '-c', 'print(6 * 7)'], timeout_seconds=30)
    thrown = client.run_throwaway('tiny:1', ['-c', 'id -u'], user='1001:1001', \
binds=['/usr:/usr:ro'], tmpfs={}, env={}, network='none',
                                  entrypoint=['sh'], timeout_seconds=60)
    print(client.ping(), before.running, client.inspect('database').running, done.output.strip(), \
thrown.output.strip())
""")


class DockerGuestTest(GuestTestCase):
    former_recipe, target_recipe = recipes.TROVE_BOOKWORM, recipes.TROVE_TRIXIE

    def docker_guest(self, image=None, user_data=b'#cloud-config\n'):
        self.host.fabric.ensure(Network('net-1', GATEWAY, 24))
        self.host.volumes.ensure('one', GIB, raw=True)
        port = Port(
            network_id='net-1',
            mac='fa:16:3e:00:00:07',
            address=ADDRESS,
            prefix_length=24,
            gateway=GATEWAY,
        )
        guest = self.host.guests.create(
            GuestSpec(
                guest_id='one',
                hostname='db-one',
                image_path=(image or self.former).path,
                ports=(port,),
                volume_id='one',
                user_data=user_data,
                runs_containers=True,
            )
        )
        guest.boot()
        return guest

    def wait_engine(self, guest):
        self.wait_until(
            lambda: guest.exec(['docker', 'version'], check=False).returncode == 0,
            'the engine to answer',
            20,
            interval_seconds=0.1,
        )

    def state(self, guest, field):
        return self.shell(guest, f'docker inspect --format "{{{{.State.{field}}}}}" database')

    def wait_healthy(self, guest):
        self.wait_until(
            lambda: self.state(guest, 'Health.Status') == 'healthy',
            'the container to be healthy',
            30,
            interval_seconds=0.2,
        )

    def status_over_the_network(self):
        with self.host.fabric.connect('net-1', (ADDRESS, 3306)) as connection:
            client = http.client.HTTPConnection(ADDRESS)
            client.sock = connection
            client.request('GET', '/')
            return client.getresponse().status

    def assert_containers_work(self, image):
        guest = self.docker_guest(image)
        self.wait_engine(guest)
        self.shell(guest, IMPORT)
        self.shell(guest, SERVE)
        self.wait_healthy(guest)
        self.assertEqual(200, self.status_over_the_network())
        return guest

    def test_a_container_serves_its_network_and_comes_back_after_a_reboot(self):
        guest = self.assert_containers_work(self.former)
        self.assertEqual('overlay2', self.shell(guest, 'docker info --format "{{.Driver}}"'))

        guest.reboot()
        self.wait_engine(guest)
        self.wait_healthy(guest)

        self.assertEqual(200, self.status_over_the_network())

    def test_a_rebuild_drops_the_engine_s_store_and_keeps_the_raw_volume_s_data(self):
        guest = self.assert_containers_work(self.former)
        self.assertEqual('2', self.shell(guest, 'blkid /dev/vdb > /dev/null || echo $?'))
        self.shell(
            guest,
            'mkfs.ext4 -q /dev/vdb; mount /dev/vdb /var/lib/mysql; echo kept > /var/lib/mysql/row',
        )
        identifier = self.host.volumes.probe_uuid(guest.volume)

        guest = self.host.guests.rebuild(
            'one', dataclasses.replace(guest.spec, image_path=self.target.path)
        )
        self.shell(guest, f'mount UUID={identifier} /var/lib/mysql')
        self.wait_engine(guest)

        self.assertEqual('kept', self.shell(guest, 'cat /var/lib/mysql/row'))
        self.assertEqual(
            '/dev/vdb', self.shell(guest, 'awk \'$2 == "/var/lib/mysql" {print $1}\' /etc/mtab')
        )
        self.assertEqual('', self.shell(guest, 'docker ps --all --quiet; docker images --quiet'))

    def test_containers_work_with_the_newer_engine_too(self):
        self.assert_containers_work(self.target)

    def engine_of(self, guest, environment='', **settings):
        """The guest's engine again, with these settings of its own."""
        self.shell(
            guest,
            f"service docker stop; mkdir -p /etc/docker; echo '{json.dumps(settings)}' > "
            f'/etc/docker/daemon.json; env {environment} /etc/init.d/docker start',
        )  # `service` drops the environment
        self.wait_engine(guest)
        self.shell(guest, IMPORT)
        self.shell(guest, SERVE)
        self.wait_healthy(guest)
        guest.write_file('/root/client.py', CLIENT)
        return self.shell(guest, f'{PYTHON} /root/client.py')

    def test_our_client_works_with_an_engine_that_refuses_older_clients(self):
        guest = self.docker_guest(self.target)
        found = self.engine_of(guest, 'DOCKER_MIN_API_VERSION=1.44')
        self.assertEqual('True True True 42 1001', found)
        self.assertEqual(
            '1.44', self.shell(guest, 'docker version --format "{{.Server.MinAPIVersion}}"')
        )

    def test_our_client_works_with_an_engine_whose_images_are_in_the_store_of_containerd(self):
        guest = self.docker_guest(self.target)
        found = self.engine_of(guest, features={'containerd-snapshotter': True})
        self.assertEqual('True True True 42 1001', found)
        self.assertIn(
            'io.containerd.snapshotter.v1',
            self.shell(guest, 'docker info --format "{{.DriverStatus}}"'),
        )

    def test_killing_a_guest_leaves_neither_processes_nor_mounts_nor_control_groups(self):
        guest = self.assert_containers_work(self.former)
        directory = str(self.host.directory)

        guest.kill()

        self.assertEqual(
            [],
            [
                path
                for path in pathlib.Path('/proc').glob('[0-9]*/mountinfo')
                if directory in read(path)
            ],
        )
        groups = subprocess.run(
            [
                'find',
                '/sys/fs/cgroup',
                '-type',
                'd',
                '-name',
                f'{self.host.fabric.guest_namespace("one")}',
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertEqual('', groups.stdout)
        guest.destroy()
        self.assertFalse(
            pathlib.Path('/run/netns', self.host.fabric.guest_namespace('one')).exists()
        )

    def test_trove_s_agent_formats_the_volume_of_a_new_instance_and_reaches_for_the_broker(self):
        for image in (self.former, self.target):
            guest = self.docker_guest(image, TROVE_CONFIGURATION)
            self.wait_until(
                lambda guest=guest: REACHED.search(
                    self.shell(guest, 'cat /var/log/trove/trove-guestagent.log', check=False)
                ),
                "Trove's agent to try the broker",
                90,
                interval_seconds=0.2,
            )
            self.assertEqual('/dev/vdb', self.shell(guest, 'findmnt -n -o SOURCE /var/lib/mysql'))
            self.assertEqual('1001 1001', self.shell(guest, 'stat -c "%u %g" /var/lib/mysql'))
            guest.kill()

    def test_a_preloaded_container_image_is_there_at_once_and_may_be_pruned(self):
        guest = self.docker_guest()
        self.wait_engine(guest)
        self.shell(guest, IMPORT + ' && docker save --output /var/lib/docker/tiny.tar tiny:1')
        archive = self.host.directory / f'tiny-{uuid.uuid4().hex}.tar'
        guest.kill()
        guest.copy_out(pathlib.Path('/var/lib/docker/tiny.tar'), archive)
        image = self.builder.build(self.target_recipe.with_preloaded(archive))
        self.assertEqual(['tiny:1'], image.facts['container_images'])

        guest = self.host.guests.rebuild(
            'one', dataclasses.replace(guest.spec, image_path=image.path)
        )
        self.wait_engine(guest)
        self.shell(guest, SERVE)
        self.wait_healthy(guest)
        guest.reboot()
        self.wait_engine(guest)
        self.wait_healthy(guest)
        self.shell(guest, 'docker rm --force database; docker image prune --all --force')
        self.assertEqual('', self.shell(guest, 'docker images --quiet'))
        guest.reboot()
        self.wait_engine(guest)

        self.assertEqual('', self.shell(guest, 'docker images --quiet'))

    def test_the_image_says_that_its_database_runs_in_a_container(self):
        self.assertEqual(
            ('container', 'debian 12', '3.11'),
            (
                self.former.facts['database_runtime'],
                self.former.facts['os'],
                self.former.facts['python'][:4],
            ),
        )
        self.assertEqual(
            ('container', 'debian 13', '3.13'),
            (
                self.target.facts['database_runtime'],
                self.target.facts['os'],
                self.target.facts['python'][:4],
            ),
        )


def read(path):
    try:
        return path.read_text()
    except OSError:  # the process has ended meanwhile
        return ''
