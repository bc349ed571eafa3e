# SPDX-License-Identifier: Apache-2.0
"""Which directories of an engine are its images, by what `docker info` shows, and how a guest gets
them from its image.
"""

import pathlib
import subprocess

import fixtures

from lab.hypervisor import guests
from lab.images import image_store
from trove_upgrade.tests.unit import base

SNAPSHOTTER = [['driver-type', 'io.containerd.snapshotter.v1']]
SCRIPT = pathlib.Path(guests.__file__).with_name('guest-images.sh')
DOCKER, CONTAINERD = pathlib.Path('/var/lib/docker'), pathlib.Path('/var/lib/containerd')


def info(driver, status=(), address=None, root='/var/lib/docker'):
    found = {'Driver': driver, 'DriverStatus': status, 'DockerRootDir': root}
    return found if address is None else {**found, 'Containerd': {'Address': address}}


def store_of(*arguments, there=(), **named):
    return image_store.of_engine(info(*arguments, **named), lambda path: path in there)


class StoreTest(base.TestCase):
    def test_an_engine_s_own_store_is_its_descriptions_and_the_directory_of_its_driver(self):
        status = [['Backing Filesystem', 'extfs'], ['Supports d_type', 'true']]
        for driver in ('overlay2', 'vfs', 'fuse-overlayfs'):
            for found in (status, None, []):
                self.assertEqual((DOCKER / 'image', DOCKER / driver), store_of(driver, found).paths)
        self.assertEqual(pathlib.Path('/srv/docker'), store_of('overlay2', root='/srv/docker').root)

    def test_containerd_s_store_is_contents_descriptions_and_snapshots_of_that_snapshotter(self):
        for address in ('/run/containerd/containerd.sock', '/var/run/containerd/containerd.sock'):
            for driver in ('overlayfs', 'native', 'fuse-overlayfs'):
                self.assertEqual(
                    (
                        CONTAINERD / 'io.containerd.content.v1.content',
                        CONTAINERD / 'io.containerd.metadata.v1.bolt',
                        CONTAINERD / f'io.containerd.snapshotter.v1.{driver}',
                    ),
                    store_of(driver, SNAPSHOTTER, address).paths,
                )

    def test_a_containerd_that_the_engine_has_started_itself_has_its_state_in_the_engine_s_directory(  # noqa: E501 - a test's name is its sentence
        self,
    ):
        for address in (
            '/var/run/docker/containerd/containerd.sock',
            '/run/docker/containerd/containerd.sock',
        ):
            self.assertEqual(
                DOCKER / 'containerd/daemon', store_of('overlayfs', SNAPSHOTTER, address).root
            )

    def test_an_engine_that_names_no_socket_uses_the_containerd_whose_state_is_there(self):
        own = DOCKER / 'containerd/daemon'
        self.assertEqual(own, store_of('overlayfs', SNAPSHOTTER, there={own}).root)
        self.assertEqual(CONTAINERD, store_of('overlayfs', SNAPSHOTTER).root)

    def test_an_unknown_store_is_refused_by_name(self):
        for arguments, named in (
            (('btrfs',), 'btrfs'),
            (('zfs', [['Zpool', 'tank']]), 'zfs'),
            (('devicemapper',), 'devicemapper'),
            (('',), 'not told'),
            (('overlayfs',), 'overlayfs'),
            (('stargz', SNAPSHOTTER), 'stargz'),
            (('btrfs', SNAPSHOTTER), 'btrfs'),
            (
                ('overlayfs', [['driver-type', 'io.containerd.snapshotter.v2']]),
                'io.containerd.snapshotter.v2',
            ),
            (
                ('overlayfs', SNAPSHOTTER, '/run/k3s/containerd/containerd.sock'),
                '/run/k3s/containerd/containerd.sock',
            ),
        ):
            error = self.assertRaises(image_store.StoreUnknown, store_of, *arguments)
            self.assertIn(named, str(error))
            self.assertEqual('lab_image_store_unknown', error.code)

    def test_a_store_elsewhere_than_a_guest_has_it_is_refused(self):
        store_of('overlay2').require_below(DOCKER, CONTAINERD)
        store_of('overlayfs', SNAPSHOTTER).require_below(DOCKER, CONTAINERD)
        for root in ('/srv/docker', '/var/lib/docker2'):
            error = self.assertRaises(
                image_store.StoreUnknown,
                store_of('overlay2', root=root).require_below,
                DOCKER,
                CONTAINERD,
            )
            self.assertIn(root, str(error))


class CopyTest(base.TestCase):
    """The shell that puts a store into a guest: everything but the layers, which are mounted, and
    only at the first boot.
    """

    LAYERS = (
        'overlay2/0a1b/diff',
        'fuse-overlayfs/0a1b/diff',
        'io.containerd.snapshotter.v1.overlayfs/snapshots/1/fs',
        'containerd/daemon/io.containerd.snapshotter.v1.overlayfs/snapshots/12/fs',
    )
    KEPT = (
        'image/overlay2/repositories.json',
        'overlay2/0a1b/link',
        'vfs/dir/0a1b/overlay2/x/diff/file',
        'io.containerd.metadata.v1.bolt/meta.db',
        'io.containerd.snapshotter.v1.native/snapshots/3/etc/passwd',
        'containerd/daemon/io.containerd.content.v1.content/blobs/sha256/ab',
        'io.containerd.snapshotter.v1.overlayfs/metadata.db',
    )

    def setUp(self):
        super().setUp()
        root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.store, self.target = root / 'store', root / 'target'
        self.target.mkdir()
        for path in (*self.KEPT, *(f'{layer}/usr/bin/program' for layer in self.LAYERS)):
            (self.store / path).parent.mkdir(parents=True, exist_ok=True)
            (self.store / path).write_text(path)

    def call(self, function, *arguments):
        script = f'set -eu; . "{SCRIPT}"; {function} "$@"'
        return subprocess.run(
            ['/bin/sh', '-c', script, 'sh', *map(str, arguments)],
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def files(self):
        return {
            str(path.relative_to(self.target)) for path in self.target.rglob('*') if path.is_file()
        }

    def test_every_driver_s_layers_are_found(self):
        self.assertEqual(set(self.LAYERS), set(self.call('layers_of', self.store).split()))

    def test_everything_but_what_the_layers_hold_is_copied(self):
        self.call('copy_images', self.store, self.target)
        self.assertEqual(set(self.KEPT), self.files())
        self.assertEqual([], [layer for layer in self.LAYERS if not (self.target / layer).is_dir()])

    def test_a_second_boot_brings_nothing_back_that_the_engine_has_removed(self):
        self.call('copy_images', self.store, self.target)
        (self.target / self.KEPT[0]).unlink()
        self.call('copy_images', self.store, self.target)
        self.assertNotIn(self.KEPT[0], self.files())
