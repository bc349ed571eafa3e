# SPDX-License-Identifier: Apache-2.0
"""Test case that runs `trove-upgrade-bridge` in this process, on a cloud in memory."""

import contextlib
import io
import pathlib
import tarfile

import fixtures
import paramiko

from trove_upgrade.bridge.bundle import manifest
from trove_upgrade.bridge.bundle.archive import sha256_of
from trove_upgrade.cmd import bridge
from trove_upgrade.cmd.bridge.context import Cloud
from trove_upgrade.domain import compute, exceptions
from trove_upgrade.tests.unit import base, database
from trove_upgrade.tests.unit.bridge.neutron import FakeNeutron
from trove_upgrade.tests.unit.bridge.test_openings import World, a_port
from trove_upgrade.tests.unit.bridge.trove import FakeTrove


class Servers:
    """Nova, with these servers."""

    def __init__(self):
        self.found = []
        self.while_asked = lambda: None  #: what happens before the answer is there

    def of_all_projects(self):
        self.while_asked()
        return self.found

    def server(self, server_id):
        for server in self.found:
            if server.id == server_id:
                return server
        raise exceptions.ServerNotFound(server_id=server_id)


class Images:
    """Glance, which has every image but these."""

    def __init__(self):
        self.missing = set()

    def image(self, image_id):
        if image_id in self.missing:
            raise exceptions.ImageNotFound(image_id=image_id)
        return compute.Image(
            id=image_id, name='', status='active', min_disk_gb=1, min_ram_mb=1, size_bytes=1
        )


def a_key(folder, name='key', passphrase=None):
    """Write a private key, and return the path as an option has it."""
    path = str(folder / name)
    paramiko.ECDSAKey.generate().write_private_key_file(path, password=passphrase)
    return path


def a_bundle(folder):
    """Write a bundle without files, with its digest."""
    path = folder / 'bundle.tar.xz'
    content = manifest.Manifest(
        product_version='1',
        python_version='3.11',
        glibc='2.31',
        architecture='x86_64',
        files={},
    ).to_bytes()
    with tarfile.open(path, 'w:xz') as archive:
        member = tarfile.TarInfo(manifest.NAME)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    (folder / 'bundle.tar.xz.sha256').write_text(f'{sha256_of(path)}  {path.name}\n')
    return path


class BridgeTestCase(base.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        url = f'sqlite:///{self.folder}/db.sqlite'
        db = self.useFixture(database.SampleDatabase(url))
        self.world = World(db, FakeNeutron(a_port(), a_port('port-2')))
        self.neutron = self.world.neutron
        self.conf = self.folder / 'conf'
        self.conf.write_text(f'[database]\nconnection = {url}\n')
        self.clouds = []
        self.servers = Servers()
        self.images = Images()
        self.databases = FakeTrove()

    def log_in(self, conf, cloud):
        self.clouds.append(cloud)
        return Cloud(
            network=self.neutron,
            servers=self.servers,
            images=self.images,
            databases=self.databases,
        )

    def tool(self, *words, code=0):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            ended = bridge.main(['--config-file', str(self.conf), *words], log_in=self.log_in)
        self.assertEqual(code, ended, out.getvalue() + err.getvalue())
        return out.getvalue() + err.getvalue()
