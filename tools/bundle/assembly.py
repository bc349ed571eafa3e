# SPDX-License-Identifier: Apache-2.0
"""Directory of a bundle: put together, compiled, cleaned of what names its build, and listed."""

from __future__ import annotations

import ast
import pprint
import re
import shutil
from pathlib import Path

from lab import errors
from tools.bundle.libraries import Libraries, architecture
from tools.bundle.recipe import FILES, RUNTIME, Recipe
from tools.bundle.runtime import RuntimeMaker, emptied
from trove_upgrade.bridge.bundle import manifest
from trove_upgrade.bridge.bundle.archive import sha256_of

#: File of this directory, and its place in the bundle.
_PROGRAMS = {
    'run-agent': 'bin/trove-upgrade-guestagent',
    'run-self-test': 'bin/self-test',
    'self-test.py': 'self-test.py',
}
_EXECUTABLE = re.compile(r'bin/|.*\.so(\.|$)|python/etc/.*/(init\.d|lib)/')
#: Where stevedore finds it, it writes no cache of entry points.  Source: stevedore 5.10, _cache.py.
_NO_CACHE = Path('cache/python-entrypoints/.disable')
#: Of the directory where Python is compiled.
_BUILD = 'trove-upgrade-bundle/'
_COMPILE_CODE = """
import compileall, sys
sys.exit(not compileall.compile_dir(
    '/bundle', quiet=1, stripdir='/bundle', workers=1, maxlevels=20,
    invalidation_mode=__import__('py_compile').PycInvalidationMode.UNCHECKED_HASH))
"""


def assemble(
    recipe: Recipe, bundle: Path, runtime: RuntimeMaker, libraries: Libraries, version: str
) -> manifest.Manifest:
    """Write all of the bundle into the new directory `bundle`; its manifest is in it, too.

    :raises errors.CommandFailed: a part cannot be made.
    :raises errors.ImageBuildFailed: a file names the place where it was built.
    """
    shutil.copytree(runtime.runtime(), bundle / RUNTIME, symlinks=True)
    libraries.write(bundle, version)
    for name, place in _PROGRAMS.items():
        (bundle / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(FILES / name, bundle / place)
    (bundle / _NO_CACHE).parent.mkdir(parents=True)
    (bundle / _NO_CACHE).touch()
    _forget_build(bundle)
    _compile(bundle, runtime)
    _refuse_traces(bundle)
    _set_modes(bundle)
    return _listed(recipe, bundle, version)


def _forget_build(bundle: Path) -> None:
    """Remove the values of `sysconfig` that name the build: only a compiler would ask for them."""
    for path in bundle.glob(f'{RUNTIME}/lib/python3*/_sysconfigdata*.py'):
        assigned = ast.parse(path.read_text('utf-8')).body[-1]
        values = ast.literal_eval(assigned.value) if isinstance(assigned, ast.Assign) else {}
        kept = {name: value for name, value in values.items() if _BUILD not in str(value)}
        path.write_text(f'build_time_vars = {pprint.pformat(kept)}\n', 'utf-8')


def _compile(bundle: Path, runtime: RuntimeMaker) -> None:
    """Compile every module by the bundle's own Python: pycs that no clock invalidates."""
    layer = emptied(bundle.with_name(f'{bundle.name}.layer'))
    shutil.move(bundle, layer / 'bundle')
    runtime.run(
        layer,
        *('env', 'PYTHONHASHSEED=0', 'nice', '-n', '19'),
        *(f'/bundle/{RUNTIME}/bin/python3.11', '-I', '-B', '-c', _COMPILE_CODE),
        timeout_seconds=1800,
    )
    shutil.move(layer / 'bundle', bundle)
    shutil.rmtree(layer)


def _refuse_traces(bundle: Path) -> None:
    found = [
        str(path.relative_to(bundle))
        for path in sorted(bundle.rglob('*'))
        if path.is_file() and not path.is_symlink() and _BUILD.encode() in path.read_bytes()
    ]
    if found:
        raise errors.ImageBuildFailed(
            f'The bundle cannot be made: {", ".join(found[:5])} names the directory where it was '
            'built. See tools/bundle/files/compile-python.'
        )


def _set_modes(bundle: Path) -> None:
    """Set modes that do not depend on the umask of this process."""
    for path in bundle.rglob('*'):
        if path.is_symlink():
            continue
        relative = path.relative_to(bundle).as_posix()
        runs = path.is_dir() or _EXECUTABLE.match(relative) or relative.startswith('python/bin/')
        path.chmod(0o755 if runs else 0o644)


def _listed(recipe: Recipe, bundle: Path, version: str) -> manifest.Manifest:
    files, links = {}, {}
    for path in sorted(bundle.rglob('*')):
        relative = path.relative_to(bundle).as_posix()
        if path.is_symlink():
            links[relative] = str(path.readlink())
        elif path.is_file():
            files[relative] = sha256_of(path)
    listed = manifest.Manifest(
        product_version=version,
        python_version=recipe.python_version,
        glibc=recipe.glibc,
        architecture=architecture(),
        files=files,
        links=links,
    )
    (bundle / manifest.NAME).write_bytes(listed.to_bytes())
    (bundle / manifest.NAME).chmod(0o644)
    return listed
