# SPDX-License-Identifier: Apache-2.0
"""The distribution python-troveupgradeclient; its version is the repository's."""

import email
import os
import pathlib

import setuptools
from pbr import packaging

_HERE = pathlib.Path(__file__).resolve().parent
#: Of a source archive of the whole repository, which has no git metadata.
_OF_REPOSITORY = _HERE.parent / 'PKG-INFO'


def _version() -> str:
    if 'PBR_VERSION' not in os.environ and not (_HERE / 'PKG-INFO').exists():
        told = _OF_REPOSITORY.read_text('utf-8') if _OF_REPOSITORY.exists() else ''
        found = email.message_from_string(told)
        if found['Name'] in {'trove-upgrade', 'trove_upgrade'}:
            return str(found['Version'])
    return str(packaging.get_version('python-troveupgradeclient'))


setuptools.setup(version=_version())
