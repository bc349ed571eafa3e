# SPDX-License-Identifier: Apache-2.0
import pathlib
import stat
import tempfile

from cryptography import fernet

from lab import guest_keys, layout
from trove_upgrade.tests.unit import base


class TestEncryptionKey(base.TestCase):
    def lab(self):
        root = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))
        return layout.Layout(root / 'cache', root / 'run')

    def test_a_lab_has_one_of_its_own_and_keeps_it(self):
        one, other = self.lab(), self.lab()
        key = guest_keys.encryption_key(one)
        fernet.Fernet(key)
        self.assertEqual(key, guest_keys.encryption_key(one))
        self.assertNotEqual(key, guest_keys.encryption_key(other))

    def test_it_is_the_owners_alone_and_ends_with_the_lab(self):
        lab = self.lab()
        guest_keys.encryption_key(lab)
        [path] = [path for path in lab.state_dir.rglob('*') if path.is_file()]
        self.assertEqual(0o600, stat.S_IMODE(path.stat().st_mode))
        self.assertEqual([], list(lab.cache_dir.rglob('*')) if lab.cache_dir.exists() else [])
