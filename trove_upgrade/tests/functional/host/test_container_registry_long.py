# SPDX-License-Identifier: Apache-2.0
"""What a guest finds on its gateway: the registry of container images, and a name server that knows
no name.
"""

import json
import pathlib
import shutil
import struct
import tempfile
import urllib.error
import urllib.request

from lab.commands import HostCommands
from lab.containers import recipes, registry
from lab.containers.image import (
    MANIFEST_TYPE,
    Image,
    Layer,
    configuration,
    digest_of_bytes,
)
from lab.errors import CommandFailed
from lab.hypervisor.netns import NETNS_DIR
from lab.hypervisor.network import NetworkFabric
from lab.layout import Layout
from lab.servers import Network, Port
from trove_upgrade.tests import base
from trove_upgrade.tests.functional.host.private_engine import PLACE, Engine

GATEWAY = '10.0.0.1'
QUERY = (
    struct.pack('!6H', 7, 0x0100, 1, 0, 0, 0) + b'\x03web\x07example\x00' + struct.pack('!2H', 1, 1)
)


def runs(pid):
    """Whether it does; what has ended and waits for process 1 to notice has no command line any
    more.
    """
    try:
        return bool(pathlib.Path(f'/proc/{pid}/cmdline').read_bytes())
    except (FileNotFoundError, ProcessLookupError):
        return False


def tags(client):
    """Those that the registry knows of the repository."""
    with urllib.request.urlopen(f'{client.url}/v2/mariadb/tags/list') as answer:
        return sorted(json.load(answer)['tags'])


class ClientTest(base.TestCase):
    """Against Debian's registry itself."""

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='tu-registry-', dir=PLACE))
        self.addCleanup(shutil.rmtree, self.directory)
        self.client = self.enterContext(registry.serving(self.directory / 'storage'))

    def image(self, content=b'a layer', tags=('1.2.3', '1.2')):
        path = self.directory / 'layer'
        path.write_bytes(content)
        layer = Layer(
            path=path,
            digest=digest_of_bytes(content),
            diff_id=digest_of_bytes(content),
            size=len(content),
        )
        return Image(
            repository='mariadb',
            tags=tags,
            version=tags[0],
            layers=(layer,),
            config=configuration('amd64', (layer,), tags[0]),
        )

    def test_a_pushed_image_is_there_under_each_of_its_tags(self):
        image = self.image()

        self.client.push(image)

        self.assertEqual(['1.2', '1.2.3'], tags(self.client))
        with urllib.request.urlopen(
            urllib.request.Request(
                f'{self.client.url}/v2/mariadb/manifests/1.2', headers={'Accept': MANIFEST_TYPE}
            )
        ) as answer:
            self.assertEqual(json.loads(image.manifest), json.load(answer))
            self.assertEqual(image.digest, answer.headers['Docker-Content-Digest'])

    def test_a_push_may_be_repeated_and_a_tag_may_move(self):
        self.client.push(self.image())
        self.client.push(self.image())
        self.client.push(self.image(b'another layer', tags=('1.2.4', '1.2')))

        self.assertEqual(['1.2', '1.2.3', '1.2.4'], tags(self.client))

    def test_an_image_that_is_not_what_its_digest_says_is_refused(self):
        image = self.image()
        (self.directory / 'layer').write_bytes(b'b layer')

        self.assertRaises(CommandFailed, self.client.push, image)

        self.assertRaises(urllib.error.HTTPError, tags, self.client)


class GatewayTest(base.TestCase):
    """A guest's network with all that the lab puts onto its gateway, and an engine at a guest's
    place in it.
    """

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cache = Layout.from_environ().images_cache
        cls.images = registry.build(cache, print)
        cls.storage = registry.prepared(cache, cls.images, print)

    def setUp(self):
        super().setUp()
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix='tu-registry-', dir=PLACE))
        self.addCleanup(shutil.rmtree, self.directory)
        registry.link(self.storage, self.directory / 'storage')
        self.client = self.enterContext(registry.serving(self.directory / 'storage'))
        port = int(self.client.url.rpartition(':')[2])
        self.fabric = NetworkFabric(
            self.directory / 'networks', HostCommands(), ('127.0.0.1', port), ('127.0.0.1', port)
        )
        self.fabric.ensure(Network('net-1', GATEWAY, 24))
        self.addCleanup(self.fabric.remove_all)

    def engine(self):
        namespace = self.fabric.attach(
            'guest-1',
            [
                Port(
                    network_id='net-1',
                    mac='fa:16:3e:00:00:07',
                    address='10.0.0.7',
                    prefix_length=24,
                    gateway=GATEWAY,
                )
            ],
        )
        return self.useFixture(
            Engine(insecure_registries=[f'{GATEWAY}:5000'], namespace=NETNS_DIR / namespace)
        )

    def pull(self, engine, tag):
        return engine.api('POST', f'/images/create?fromImage={GATEWAY}:5000/mariadb&tag={tag}')

    def test_a_guest_pulls_images_and_hears_which_there_are_not(self):
        engine = self.engine()
        good = next(image for image in self.images if '10.11' in image.tags)

        status, _progress = self.pull(engine, good.version)
        self.assertEqual(200, status)
        done = engine.run(
            [
                'run',
                '--rm',
                '--network',
                'none',
                f'{GATEWAY}:5000/mariadb:{good.version}',
                '--version',
            ]
        )
        self.assertIn(good.version, done.stdout)

        status, refusal = self.pull(engine, recipes.MISSING_11_8)
        self.assertEqual(404, status)
        self.assertIn('manifest unknown', str(refusal))

    def test_the_name_server_says_at_once_that_it_knows_no_name(self):
        namespace = self.fabric.network_namespace('net-1')
        ask = (
            'import socket, sys; s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); '
            's.settimeout(5); s.sendto(bytes.fromhex(sys.argv[1]), (sys.argv[2], 53)); '
            'print(s.recv(512).hex())'
        )
        said = HostCommands().run(
            [
                'nsenter',
                f'--net={NETNS_DIR / namespace}',
                '--',
                'python3',
                '-c',
                ask,
                QUERY.hex(),
                GATEWAY,
            ]
        )
        self.assertEqual(3, struct.unpack_from('!6H', bytes.fromhex(said.output))[1] & 0xF)

        with self.fabric.connect('net-1', (GATEWAY, 53)) as connection:
            connection.sendall(struct.pack('!H', len(QUERY)) + QUERY)
            self.assertEqual(3, struct.unpack_from('!H6H', connection.recv(512))[2] & 0xF)

    def test_nothing_of_a_removed_network_runs_on(self):
        home = self.directory / 'networks/net-1'
        daemons = [int((home / name).read_text()) for name in ('dns.pid', 'haproxy.pid')]
        self.assertTrue(all(runs(pid) for pid in daemons))

        self.fabric.remove('net-1')

        self.assertFalse(any(runs(pid) for pid in daemons))

    def test_the_cache_stays_as_it_is_whatever_is_pushed_into_a_running_cloud(self):
        def links():
            return sorted((str(path), path.read_text()) for path in self.storage.rglob('link'))

        before = links()
        broken = next(image for image in self.images if '11.8-broken' in image.tags)

        self.client.push(
            Image(
                repository='mariadb',
                tags=('11.8.6', '11.8.77'),
                version='11.8.6',
                layers=broken.layers,
                config=broken.config,
            )
        )

        self.assertIn('11.8.77', tags(self.client))
        self.assertEqual(before, links())
