# SPDX-License-Identifier: Apache-2.0
"""The distribution python-troveupgradeclient; its version is the repository's."""

import setuptools
from pbr import packaging

setuptools.setup(version=packaging.get_version('python-troveupgradeclient'))
