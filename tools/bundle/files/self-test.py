# SPDX-License-Identifier: Apache-2.0
"""Self-test of a bundle, in the guest and by the bundle's own Python: every file is what was
packed, and all of the agent can be imported and works with this C library.

usage: bin/self-test      prints one line "key=value" for each finding; ends with 1 where one failed
"""

import hashlib
import importlib
import json
import os
import pathlib
import pkgutil
import platform
import re
import sys
from typing import Any

Manifest = dict[str, Any]

HOME = pathlib.Path(__file__).resolve().parent
MANIFEST = HOME / 'manifest.json'
BLOCK = 1 << 20
#: Parts of the C library and of its compiler, by the beginning of their names.
OF_THE_C_LIBRARY = re.compile(
    r'(ld|lib(c|m|dl|pthread|rt|util|resolv|nss_[a-z]+|gcc_s))(-2\.[0-9]+|-linux[^.]*)?\.so'
)


def digest(path: pathlib.Path) -> str:
    """Return the SHA-256 of a file."""
    found = hashlib.sha256()
    with path.open('rb') as stream:
        while block := stream.read(BLOCK):
            found.update(block)
    return found.hexdigest()


def files_are_whole(manifest: Manifest) -> str:
    """Compare every file with the manifest, in both directions."""
    wrong, seen = [], {MANIFEST.name}
    for folder, _, names in os.walk(HOME):
        for name in names:
            path = pathlib.Path(folder, name)
            relative = path.relative_to(HOME).as_posix()
            seen.add(relative)
            if path.is_symlink():
                if manifest['links'].get(relative) != str(path.readlink()):
                    wrong.append(f'{relative} leads elsewhere')
            elif relative != MANIFEST.name and manifest['files'].get(relative) != digest(path):
                wrong.append(f'{relative} is not what was packed')
    missing = (manifest['files'].keys() | manifest['links'].keys()) - seen
    wrong += [f'{relative} is missing' for relative in sorted(missing)]
    if wrong:
        raise ValueError(f'{len(wrong)} of them: ' + '; '.join(wrong[:3]))
    return f'{len(seen)} files'


def machine_is_right(manifest: Manifest) -> str:
    """Compare the machine and the C library with what the bundle was made for."""
    machine = platform.machine()
    if machine != manifest['architecture']:
        raise ValueError(f'this is {machine}, and the bundle is for {manifest["architecture"]}')
    name, version = (os.confstr('CS_GNU_LIBC_VERSION') or 'unknown 0.0').split()
    if numbers(version) < numbers(manifest['glibc']):
        raise ValueError(f'{name} {version} is older than {manifest["glibc"]}')
    return f'{machine}, {name} {version}'


def numbers(version: str) -> list[int]:
    """Return the first two parts of a version."""
    return [int(part) for part in version.split('.')[:2]]


def agent_can_be_imported(_manifest: Manifest) -> str:
    """Import every module of the agent: an extension of a library loads, or this fails."""
    # As the agent's own start does: native threads.
    sys.modules.setdefault('eventlet', None)  # type: ignore[arg-type] # an import of it fails
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)
    import trove_upgrade

    count = 0
    for found in pkgutil.walk_packages(trove_upgrade.__path__, 'trove_upgrade.'):
        importlib.import_module(found.name)
        count += 1
    return f'{count} modules, version {version()}'


def version() -> str:
    """Return the agent's."""
    from importlib import metadata

    return metadata.version('trove-upgrade-guest')


def cryptography_works(_manifest: Manifest) -> str:
    """Seal and open, make a TLS context, compress: what comes from libraries of other languages."""
    import lzma
    import ssl
    import zlib

    from cryptography.hazmat.primitives.ciphers import aead

    cipher = aead.ChaCha20Poly1305(bytes(32))
    if cipher.decrypt(bytes(12), cipher.encrypt(bytes(12), b'text', b''), b'') != b'text':
        raise ValueError('what was sealed cannot be opened')
    ssl.create_default_context()
    zlib.decompress(zlib.compress(b''))
    lzma.decompress(lzma.compress(b''))
    return ssl.OPENSSL_VERSION


def libraries_are_ours(_manifest: Manifest) -> str:
    """Find every library that is loaded in the bundle, or among those of the C library."""
    with pathlib.Path('/proc/self/maps').open(encoding='utf-8') as stream:
        loaded = {line.split(None, 5)[5].strip() for line in stream if line.count('/')}
    foreign = [
        path
        for path in sorted(loaded)
        if '.so' in path
        and not path.startswith(f'{HOME}/')
        and not OF_THE_C_LIBRARY.match(pathlib.Path(path).name)
    ]
    if foreign:
        raise ValueError(', '.join(foreign))
    return f'{len(loaded)} loaded'


CHECKS = (
    machine_is_right,
    files_are_whole,
    agent_can_be_imported,
    cryptography_works,
    libraries_are_ours,
)


def main() -> int:
    """Run all checks, and return the exit code."""
    with MANIFEST.open(encoding='utf-8') as stream:
        manifest = json.load(stream)
    failed = False
    for check in CHECKS:
        try:
            found = check(manifest)
        except Exception as error:  # noqa: BLE001 - the program's edge: each check gets its line
            failed = True
            found = f'FAILED, {type(error).__name__}: {error}'
        print(f'{check.__name__}={" ".join(str(found).split())}')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
