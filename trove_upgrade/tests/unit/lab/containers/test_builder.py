# SPDX-License-Identifier: Apache-2.0
import gzip
import hashlib
import io
import json
import pathlib
import tarfile
import tempfile

from lab import errors, publishing
from lab.containers import recipes
from lab.containers.builder import ContainerBuilder
from lab.containers.image import digest_of_bytes
from lab.trove import stage
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.lab import fakes


class Host(fakes.Commands):
    """Builds a root file system of one file, and packs as gzip does."""

    says = 'mariadbd  Ver 11.8.6-MariaDB-0+deb13u1 from Debian for debian-linux-gnu on x86_64'

    def run(self, argv, **how):
        if argv[0] == 'mmdebstrap':
            tree = pathlib.Path(next(word for word in argv if word.endswith('base.tar')))
            with tarfile.open(tree, 'w') as archive:
                archive.addfile(tarfile.TarInfo('./etc'))
            tree.with_suffix('.version').write_text(self.says)
        elif 'gzip' in argv:
            source = pathlib.Path(argv[-1])
            pathlib.Path(f'{source}.gz').write_bytes(gzip.compress(source.read_bytes(), mtime=0))
            if '--keep' not in argv:
                source.unlink()
        return super().run(argv, **how)


class BuilderTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.host = Host()
        self.host.answer(
            'apt-get indextargets', 'http://mirror.example/debian Debian trixie main\n'
        )
        self.host.answer('dpkg --print-architecture', 'amd64\n')
        self.cache = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.builder = ContainerBuilder(self.cache, self.host, lambda _text: None)

    def test_an_image_is_named_after_the_server_that_is_in_it(self):
        image = self.builder.build(recipes.MARIADB_11_8)

        self.assertEqual(('11.8.6', ('11.8.6', '11.8')), (image.version, image.tags))
        self.assertEqual(
            ['10.0.0.1:5000/mariadb:11.8.6', '10.0.0.1:5000/mariadb:11.8'],
            image.references('10.0.0.1:5000'),
        )
        self.assertIn('MARIADB_VERSION=11.8.6', json.loads(image.config)['config']['Env'])

    def test_its_version_is_recorded_with_the_id_by_which_engines_know_it(self):
        image = self.builder.build(recipes.MARIADB_11_8)
        guest = publishing.ImageFile(
            name='guest',
            path=self.cache,
            properties={},
            facts={'guest_rpc': '1.2', 'database_runtime': 'container'},
        )
        self.assertEqual(
            {
                'guest_rpc': '1.2',
                'database_runtime': 'container',
                'container_image_id': f'sha256:{hashlib.sha256(image.config).hexdigest()}',
            },
            stage.version_facts(guest, image),
        )

    def test_packages_are_fetched_once_also_for_spoilt_images(self):
        for recipe in (
            recipes.MARIADB_11_8,
            recipes.BROKEN_11_8,
            recipes.NO_SERVER_11_8,
            recipes.MARIADB_11_8,
        ):
            self.builder.build(recipe)

        self.assertEqual(1, len(self.host.ran_beginning('mmdebstrap')))

    def test_security_updates_come_from_the_mirror_that_the_host_has_for_them(self):
        self.host.answer(
            'apt-get indextargets',
            'http://mirror.example/security Debian bookworm-security main\n'
            'http://mirror.example/debian Debian bookworm main\n',
        )
        plain, secured = (
            self.builder.build(recipes.MARIADB_10_5),
            self.builder.build(recipes.MARIADB_10_5_SECURITY),
        )

        first, second = self.host.ran_beginning('mmdebstrap')
        self.assertNotIn('bullseye-security', first)
        self.assertTrue(
            second.endswith(' http://mirror.example/security bullseye-security main'), second
        )
        self.assertEqual(set(), {plain.tags[1]} & {secured.tags[1]})

    def test_a_spoilt_image_is_another_one_under_a_version_that_no_good_one_has(self):
        good, broken = (
            self.builder.build(recipes.MARIADB_11_8),
            self.builder.build(recipes.BROKEN_11_8),
        )

        self.assertEqual(good.layers[0], broken.layers[0])
        self.assertNotEqual(good.layers[1], broken.layers[1])
        self.assertEqual(set(), set(good.tags) & set(broken.tags))
        self.assertEqual(('11.8.99', '11.8-broken'), broken.tags)

    def test_the_same_inputs_make_the_same_image(self):
        self.assertEqual(
            self.builder.build(recipes.MARIADB_11_8).digest,
            self.builder.build(recipes.MARIADB_11_8).digest,
        )

    def test_every_user_can_reach_what_the_second_layer_adds(self):
        image = self.builder.build(recipes.MARIADB_11_8)

        with tarfile.open(image.layers[1].path) as layer:
            modes = {member.name: member.mode for member in layer}
        self.assertEqual(0o755, modes['usr/local/bin/docker-entrypoint.sh'])
        self.assertEqual(
            {0o755},
            {modes[name] for name in ('usr', 'usr/local', 'usr/local/bin', 'etc', 'etc/mysql')},
        )

    def test_a_layer_is_named_after_its_tar_and_after_its_packed_file(self):
        layer = self.builder.build(recipes.MARIADB_11_8).layers[0]

        packed = layer.path.read_bytes()
        self.assertEqual(
            (digest_of_bytes(packed), digest_of_bytes(gzip.decompress(packed)), len(packed)),
            (layer.digest, layer.diff_id, layer.size),
        )

    def test_an_archive_names_configuration_layers_and_tags(self):
        image = self.builder.build(recipes.MARIADB_11_8)

        archive = self.builder.archive(image, image.references('10.0.0.1:5000'))

        with tarfile.open(archive) as opened:
            [listed] = json.load(io.BytesIO(opened.extractfile('manifest.json').read()))
            self.assertEqual(image.references('10.0.0.1:5000'), listed['RepoTags'])
            self.assertEqual(image.config, opened.extractfile(listed['Config']).read())
            diffs = [
                'sha256:'
                + hashlib.sha256(gzip.decompress(opened.extractfile(name).read())).hexdigest()
                for name in listed['Layers']
            ]
        self.assertEqual(json.loads(image.config)['rootfs']['diff_ids'], diffs)

    def test_archives_of_the_same_image_under_other_names_live_side_by_side(self):
        image = self.builder.build(recipes.MARIADB_11_8)

        plain, named = (
            self.builder.archive(image),
            self.builder.archive(image, ['10.0.0.1:5000/mariadb:11.8.6']),
        )

        self.assertTrue(plain.exists() and named.exists())
        self.assertEqual(plain, self.builder.archive(image))

    def test_a_build_without_a_server_is_no_image(self):
        self.host.says = 'not found'

        self.assertRaises(errors.ImageBuildFailed, self.builder.build, recipes.MARIADB_11_8)
