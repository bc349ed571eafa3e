# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration; the references to options and policies are generated from code."""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

project = 'trove-upgrade'
copyright = 'OpenStack contributors'
extensions = ['module_map', 'oslo_config.sphinxext', 'oslo_policy.sphinxext', 'reno.sphinxext']
html_theme = 'alabaster'
exclude_patterns = ['admin/figures.rst']  # is included by admin/upgrade
suppress_warnings = ['config.cache']


def _has_history():
    """reno reads which release a note belongs to from git: a shallow clone or an unpacked archive cannot tell."""
    asked = subprocess.run(
        ['git', 'rev-parse', '--is-shallow-repository'],
        cwd=pathlib.Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.stdout.strip() == 'false'


def _without_history(app, name, source):
    if name == 'release-notes':
        source[0] = source[0].replace(
            '.. release-notes::',
            'Built without the history of the project. The notes are in ``releasenotes/notes``.',
        )


def setup(app):
    if not _has_history():
        app.connect('source-read', _without_history)
