# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: PTH101, PTH102, PTH115, PTH118, PTH123, PTH211 - names with odd bytes stay bytes
import os
import pathlib
import shutil
import stat
import tempfile

import fixtures
import hypothesis
from hypothesis import strategies

from trove_upgrade.domain import exceptions
from trove_upgrade.guestagent.storage.stash import accounts as accounts_module
from trove_upgrade.guestagent.storage.stash import publish
from trove_upgrade.guestagent.storage.stash.restore import Stash
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.guestagent import fakes, seam, special_files

_ACCOUNTS = accounts_module.SystemAccounts()

_NAMES = (
    strategies.binary(min_size=1, max_size=40)
    .map(lambda raw: raw.replace(b'/', b'_').replace(b'\0', b'\n'))
    .filter(lambda raw: raw not in {b'.', b'..'})
)
_MODES = strategies.integers(0, 0o7777)
_IDS = strategies.sampled_from([0, 1, 33, 54321, 60000])
_TIMES = strategies.integers(0, 2**33 * 10**9)
_ATTRIBUTES = strategies.tuples(_MODES, _IDS, _IDS, _TIMES)
_FILE = strategies.tuples(
    strategies.just('file'),
    strategies.binary(max_size=300),
    _ATTRIBUTES,
    strategies.dictionaries(
        strategies.sampled_from([b'user.a', b'user.b']), strategies.binary(max_size=10), max_size=2
    ),
)
_LINK = strategies.tuples(
    strategies.just('symlink'),
    strategies.binary(min_size=1, max_size=60).map(lambda raw: raw.replace(b'\0', b'.')),
    _ATTRIBUTES,
    strategies.just({}),
)
_HARD = strategies.tuples(
    strategies.just('hardlink'), strategies.integers(0, 5), _ATTRIBUTES, strategies.just({})
)
_TREES = strategies.recursive(
    strategies.dictionaries(_NAMES, strategies.one_of(_FILE, _LINK, _HARD), max_size=4),
    lambda below: strategies.dictionaries(
        _NAMES,
        strategies.one_of(
            _FILE,
            _HARD,
            strategies.tuples(
                strategies.just('directory'), below, _ATTRIBUTES, strategies.just({})
            ),
        ),
        max_size=4,
    ),
    max_leaves=12,
)


def build(directory: bytes, tree, files):
    for name, (kind, content, attributes, xattrs) in tree.items():
        path = os.path.join(directory, name)
        if kind == 'directory':
            os.mkdir(path)
            build(path, content, files)
        elif kind == 'symlink':
            os.symlink(content, path)
        elif kind == 'hardlink' and files:
            os.link(files[content % len(files)], path)
            continue
        else:
            with open(path, 'wb') as stream:
                stream.write(content if kind == 'file' else b'')
            files.append(path)
        mode, uid, gid, time = attributes
        os.chown(path, uid, gid, follow_symlinks=False)
        if kind != 'symlink':
            for key, value in xattrs.items():
                os.setxattr(path, key, value)
            os.chmod(path, mode)
        os.utime(path, ns=(time, time), follow_symlinks=False)


def picture(top: bytes, *, directories=True):
    """All that a stash promises to bring back; hard links as groups of paths."""
    found, inodes = {}, {}
    for directory, names, files in os.walk(top):
        for name in [*names, *files, *([b''] if directories else [])]:
            path = os.path.join(directory, name).rstrip(b'/')
            status = os.lstat(path)
            relative = path[len(top) :]
            about = [stat.S_IFMT(status.st_mode), status.st_uid, status.st_gid, status.st_mtime_ns]
            if stat.S_ISLNK(status.st_mode):
                about.append(os.readlink(path))
            else:
                about += [
                    stat.S_IMODE(status.st_mode),
                    sorted((key, os.getxattr(path, key)) for key in os.listxattr(path)),
                ]
            if stat.S_ISREG(status.st_mode):
                with open(path, 'rb') as stream:
                    about.append(stream.read())
                inodes.setdefault(status.st_ino, set()).add(relative)
            found[relative] = about
    return found, sorted(map(sorted, inodes.values()))


def without_rights(seen):
    """Files on another root disk can be read and written, never run, and lend no rights."""
    found, groups = seen
    kept = {
        stat.S_IFREG: lambda mode: mode & 0o666,
        stat.S_IFDIR: lambda mode: mode & 0o1777 | (0o1000 if mode & 0o002 else 0),
    }
    return {
        name: [*about[:4], kept[about[0]](about[4]), *about[5:]] if about[0] in kept else about
        for name, about in found.items()
    }, groups


class AnyTreeTest(base.TestCase):
    @hypothesis.settings(
        max_examples=60, deadline=None, suppress_health_check=list(hypothesis.HealthCheck)
    )
    @hypothesis.given(_TREES)
    def test_any_tree_comes_back_the_same_but_for_rights_to_run(self, tree):
        with tempfile.TemporaryDirectory(dir=fakes.scratch()) as directory:
            top = pathlib.Path(directory)
            source = top / 'source'
            source.mkdir()
            build(os.fsencode(source), tree, [])
            before = picture(os.fsencode(source))
            published = publish.publish([source], top / 'volume', 'u', 1, {}, _ACCOUNTS)
            with Stash.open(top / 'volume', published.name, published.digest) as stash:
                for _ in range(2):  # a second restore over the first one changes nothing
                    self.assertEqual([], stash.restore(stash.paths(), _ACCOUNTS, top / 'there'))
                    self.assertEqual(
                        without_rights(before),
                        picture(os.fsencode(top / 'there') + os.fsencode(source)),
                    )
            self.assertEqual(before, picture(os.fsencode(source)), 'keeping a tree has changed it')


class Accounts:
    """An image with its own numbers."""

    def __init__(self, **numbers):
        self.numbers = numbers

    def user_name(self, uid):
        return {number: name for name, number in self.numbers.items()}.get(uid)

    group_name = user_name

    def user_id(self, name):
        return self.numbers.get(name)

    group_id = user_id


class StashTest(base.TestCase):
    def setUp(self):
        super().setUp()
        self.top = pathlib.Path(self.useFixture(fixtures.TempDir(rootdir=fakes.scratch())).path)
        self.source, self.volume = self.top / 'etc', self.top / 'volume'
        self.source.mkdir()
        (self.source / 'a.cnf').write_text('[mysqld]\n')
        (self.source / 'b.cnf').write_text('[client]\n')

    def publish(self, upgrade_id='u', attempt=1, accounts=_ACCOUNTS, **documents):
        return publish.publish([self.source], self.volume, upgrade_id, attempt, documents, accounts)

    def open(self, published):
        stash = Stash.open(self.volume, published.name, published.digest)
        self.addCleanup(stash.close)
        return stash

    def test_owners_come_back_by_name_where_numbers_differ(self):
        os.chown(self.source / 'a.cnf', 100, 101)
        published = self.publish(accounts=Accounts(mysql=100, adm=101, root=0))
        there = self.top / 'there'
        self.open(published).restore(
            [str(self.source / 'a.cnf')], Accounts(mysql=999, adm=4, root=0), there
        )
        status = (pathlib.Path(str(there) + str(self.source)) / 'a.cnf').stat()
        self.assertEqual((999, 4), (status.st_uid, status.st_gid))

    def test_an_owner_that_the_image_lacks_keeps_its_number_and_is_reported(self):
        os.chown(self.source / 'a.cnf', 54321, 54322)
        published = self.publish(accounts=Accounts(vault=54321, keys=54322, root=0))
        remarks = self.open(published).restore(
            [str(self.source / 'a.cnf')], Accounts(root=0), self.top / 'there'
        )
        self.assertEqual((54321, 54322), self.owner('a.cnf'))
        self.assertEqual(2, len(remarks))
        self.assertIn("no user 'vault'", remarks[0])

    def test_no_number_is_kept_that_means_another_account_on_the_new_disk(self):
        for former, now, uid in (
            ({'vault': 54321}, {'admin': 54321}, 54321),  # the name is unknown and the number taken
            ({}, {'admin': 54321}, 54321),  # it had no name, and has one now
            ({'toor': 0}, {}, 0),  # another name of root's
            ({'toor': 54321}, {'toor': 0}, 54321),  # a name that is root's here
            ({}, {}, 0),
        ):
            os.chown(self.source / 'a.cnf', uid, 60000)
            stash = self.open(self.publish(accounts=Accounts(**former)))
            with self.subTest(former=former, now=now):
                error = self.assertRaises(
                    exceptions.StepFailed,
                    stash.restore,
                    stash.paths(),
                    Accounts(**now),
                    self.top / 'there',
                )
                self.assertEqual('STASH_OWNER_UNKNOWN', error.code)
                self.assertFalse((self.top / 'there').exists(), 'nothing was written')

    def test_what_a_container_sees_comes_back_by_number(self):
        os.chown(self.source / 'a.cnf', 1001, 1001)
        stash = self.open(self.publish(accounts=Accounts(database=1001, root=0)))
        self.assertEqual([], stash.restore([str(self.source / 'a.cnf')], None, self.top / 'there'))
        self.assertEqual((1001, 1001), self.owner('a.cnf'))

    def owner(self, name):
        status = (pathlib.Path(str(self.top / 'there') + str(self.source)) / name).stat()
        return status.st_uid, status.st_gid

    def test_only_the_paths_that_are_asked_for_come_back(self):
        stash = self.open(self.publish())
        shutil.rmtree(self.source)
        stash.restore([str(self.source / 'b.cnf')], _ACCOUNTS)
        self.assertEqual(['b.cnf'], [path.name for path in self.source.iterdir()])

    def test_it_tells_what_it_holds(self):
        (self.source / 'link.cnf').symlink_to('a.cnf')
        stash = self.open(self.publish())
        files = [str(self.source / name) for name in ('a.cnf', 'b.cnf', 'link.cnf')]
        self.assertEqual(sorted([str(self.source), *files]), sorted(stash.paths()))
        self.assertEqual(files, sorted(stash.files()))
        self.assertEqual({files[2]: 'a.cnf'}, stash.links())

    def test_it_tells_which_files_differ_from_what_is_there_now(self):
        names = ('same', 'longer', 'as_long', 'gone', 'now_directory', 'not_asked')
        paths = {name: self.source / name for name in names}
        for path in paths.values():
            path.write_text('as it was')
        (self.source / 'link').symlink_to('same')
        stash = self.open(self.publish())
        paths['longer'].write_text('as it was, and more')
        paths['as_long'].write_text('as it IS ')
        for name in ('gone', 'now_directory', 'not_asked'):
            paths[name].unlink()
        paths['now_directory'].mkdir()
        asked = [str(path) for name, path in paths.items() if name != 'not_asked']
        self.assertEqual(
            sorted(str(paths[name]) for name in ('longer', 'as_long', 'gone', 'now_directory')),
            sorted(stash.differing([*asked, str(self.source / 'link'), str(self.source)])),
        )

    def test_a_place_that_cannot_be_written_to_is_named(self):
        stash = self.open(self.publish())
        (self.top / 'there').write_text('a file')
        error = self.assertRaises(
            exceptions.StepFailed, stash.restore, stash.paths(), _ACCOUNTS, self.top / 'there'
        )
        self.assertEqual('STASH_NOT_RESTORED', error.code)
        self.assertIn(f'{self.top / "there"}', error.message)

    def test_a_file_that_it_does_not_hold_is_unknown(self):
        stash = self.open(self.publish())
        self.assertEqual(b'[client]\n', stash.file(str(self.source / 'b.cnf')))
        self.assertRaises(KeyError, stash.file, str(self.source / 'c.cnf'))
        self.assertRaises(KeyError, stash.file, str(self.source))

    def test_a_file_that_has_been_changed_since_the_stash_was_opened_is_refused(self):
        published = self.publish()
        stash = self.open(published)
        path = self.volume / published.name / 'content'
        path.write_bytes(path.read_bytes().swapcase())
        error = self.assertRaises(exceptions.StepFailed, stash.file, str(self.source / 'b.cnf'))
        self.assertEqual('STASH_BROKEN', error.code)

    def test_a_stash_or_a_volume_that_is_not_there_is_missing(self):
        published = self.publish()
        for volume, name in (
            (self.volume, 'stash-another-1'),
            (self.volume / 'nowhere', published.name),
        ):
            error = self.assertRaises(
                exceptions.StepFailed, Stash.open, volume, name, published.digest
            )
            self.assertEqual('STASH_MISSING', error.code)

    def test_a_file_of_the_new_image_is_replaced_and_others_stay(self):
        stash = self.open(self.publish())
        (self.source / 'a.cnf').write_text('of the new image')
        (self.source / 'new.cnf').write_text('of the new image')
        stash.restore([str(self.source / 'a.cnf')], _ACCOUNTS)
        self.assertEqual('[mysqld]\n', (self.source / 'a.cnf').read_text())
        self.assertEqual('of the new image', (self.source / 'new.cnf').read_text())

    def test_a_link_in_the_place_of_a_file_is_replaced_and_not_followed(self):
        stash = self.open(self.publish())
        victim = self.top / 'victim'
        victim.write_text('untouched')
        (self.source / 'a.cnf').unlink()
        (self.source / 'a.cnf').symlink_to(victim)
        stash.restore([str(self.source / 'a.cnf')], _ACCOUNTS)
        self.assertEqual('untouched', victim.read_text())
        self.assertFalse((self.source / 'a.cnf').is_symlink())

    def test_a_directory_in_the_way_is_refused(self):
        stash = self.open(self.publish())
        (self.source / 'a.cnf').unlink()
        (self.source / 'a.cnf').mkdir()
        error = self.assertRaises(
            exceptions.StepFailed, stash.restore, [str(self.source / 'a.cnf')], _ACCOUNTS
        )
        self.assertEqual('STASH_IN_THE_WAY', error.code)

    def test_every_changed_byte_is_found_before_anything_is_written(self):
        published = self.publish(document=b'{}')
        for name in ('manifest.json', 'content'):
            path = self.volume / published.name / name
            content = path.read_bytes()
            for position in range(0, len(content), 7 if name == 'manifest.json' else 1):
                path.write_bytes(
                    content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]
                )

                def use():
                    with Stash.open(self.volume, published.name, published.digest) as stash:
                        stash.document('document', published.documents['document'])
                        stash.restore(stash.paths(), _ACCOUNTS, self.top / 'there')

                self.assertEqual('STASH_BROKEN', self.assertRaises(exceptions.StepFailed, use).code)
            path.write_bytes(content)
        self.assertFalse((self.top / 'there').exists())

    def test_a_content_that_is_cut_short_is_found(self):
        published = self.publish()
        path = self.volume / published.name / 'content'
        os.truncate(path, 3)
        error = self.assertRaises(
            exceptions.StepFailed,
            self.open(published).restore,
            [str(self.source / 'b.cnf')],
            _ACCOUNTS,
        )
        self.assertEqual('STASH_BROKEN', error.code)

    def test_links_in_the_place_of_the_stash_are_not_followed(self):
        published = self.publish()
        own = self.volume / published.name
        for name in ('manifest.json', 'content'):
            (own / name).rename(own / f'{name}.real')
            (own / name).symlink_to(f'{name}.real')
            error = self.assertRaises(
                exceptions.StepFailed, Stash.open, self.volume, published.name, published.digest
            )
            self.assertEqual('STASH_MISSING', error.code)
            (own / f'{name}.real').rename(own / name)

    def test_a_pipe_in_the_place_of_the_manifest_does_not_hang(self):
        published = self.publish()
        path = self.volume / published.name / 'manifest.json'
        path.unlink()
        os.mkfifo(path)
        error = self.assertRaises(
            exceptions.StepFailed, Stash.open, self.volume, published.name, published.digest
        )
        self.assertIn('its manifest is not a plain file', error.message)

    def test_what_is_no_plain_file_in_the_place_of_a_part_is_refused_and_not_waited_for(self):
        for name in ('content', 'manifest.json'):
            for kind in special_files.KINDS:
                published = self.publish()
                path = self.volume / published.name / name
                path.unlink()
                special_files.make(path, kind)
                error = self.assertRaises(
                    exceptions.StepFailed, Stash.open, self.volume, published.name, published.digest
                )
                self.assertIn(error.code, {'STASH_BROKEN', 'STASH_MISSING'}, (name, kind))
                special_files.remove(path)

    def test_a_file_that_has_got_the_inode_of_another_one_meanwhile_has_its_own_content(self):
        """On a disk: ext4 gives the number of an inode again at once."""
        disk = self.useFixture(fixtures.TempDir(rootdir='/var/tmp')).path
        self.source = pathlib.Path(disk)
        (self.source / 'a.cnf').write_text('[mysqld]\n')
        (self.source / 'b.cnf').touch()
        for names in (('a.cnf',), ('a.cnf', 'a.link')):
            for name in names[1:]:
                os.link(self.source / names[0], self.source / name)
            (self.source / 'z.cnf').write_text('[mysqld]\n')

            def replaced(names=names):
                for name in names:
                    (self.source / name).unlink()
                (self.source / 'z.new').write_text('[client]\n')
                (self.source / 'z.new').rename(self.source / 'z.cnf')

            with seam.once_before('open', 'b.cnf', replaced):
                stash = self.open(self.publish())
            self.assertEqual(b'[client]\n', stash.file(str(self.source / 'z.cnf')), names)
            (self.source / 'a.cnf').write_text('[mysqld]\n')

    def test_pipes_and_sockets_are_left_out(self):
        os.mkfifo(self.source / 'pipe')
        stash = self.open(self.publish())
        self.assertNotIn(str(self.source / 'pipe'), stash.paths())
        self.assertEqual((str(self.source / 'pipe'),), stash.manifest.skipped)

    def test_nothing_of_the_stash_can_be_read_by_others(self):
        published = self.publish()
        self.assertEqual(0o700, stat.S_IMODE((self.volume).stat().st_mode))
        self.assertEqual(0o700, stat.S_IMODE((self.volume / published.name).stat().st_mode))
        for path in (self.volume / published.name).iterdir():
            self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))

    def test_the_same_attempt_replaces_its_stash_and_those_of_other_upgrades_go(self):
        self.publish('old')
        (self.volume / '.stash-old-2').mkdir()
        self.publish('u', 1)
        self.publish('u', 2)
        (self.source / 'a.cnf').write_text('newer')
        newest = self.publish('u', 2)
        self.assertEqual(
            ['stash-u-1', 'stash-u-2'], sorted(path.name for path in self.volume.iterdir())
        )
        self.assertEqual(b'newer', self.open(newest).file(str(self.source / 'a.cnf')))

    def test_a_stash_that_cannot_be_finished_leaves_nothing(self):
        class Broken(accounts_module.SystemAccounts):
            def user_name(self, uid):
                raise OSError(28, 'No space left on device')

        self.assertRaises(OSError, self.publish, accounts=Broken())
        self.assertEqual([], list(self.volume.iterdir()))

    def test_the_size_is_known_before(self):
        (self.source / 'large').write_bytes(b'x' * 100000)
        self.assertGreater(publish.measure([self.source]), self.publish().size_bytes)

    def test_a_document_of_another_digest_is_refused(self):
        stash = self.open(self.publish(document=b'{}'))
        self.assertEqual(
            'STASH_BROKEN',
            self.assertRaises(exceptions.StepFailed, stash.document, 'document', 'f' * 64).code,
        )
        self.assertEqual(
            'STASH_BROKEN',
            self.assertRaises(exceptions.StepFailed, stash.document, 'other', 'f' * 64).code,
        )
