# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration; the references to options and policies are generated from code."""

import logging
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))

project = 'trove-upgrade'
copyright = 'trove-upgrade contributors'
extensions = [
    'disk_map',
    'message_sequence',
    'module_map',
    'openstackdocstheme',
    'oslo_config.sphinxext',
    'oslo_policy.sphinxext',
    'reno.sphinxext',
    'state_moves',
    'time_bars',
]
highlight_language = 'text'  # what stands behind :: is what is typed or printed
smartquotes = False  # lines of YAML and commands stand in sentences, too, and are copied from there
html_theme = 'openstackdocs'
#: Nothing is fetched when a page is read: no analytics, no badge of docs.openstack.org.
html_theme_options = {'analytics_tracking_code': '', 'display_badge': False}
html_static_path = ['_static']
templates_path = ['_templates']
openstackdocs_auto_name = False
openstackdocs_auto_version = False  # it would warn where the project is not installed
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


def _without_git(app):
    """The theme asks git for each page's date and for a commit, of which these pages show neither: it complains where
    there is no repository, as in an unpacked archive.
    """
    for event in list(app.events.listeners['html-page-context']):
        if event.handler.__module__ == 'openstackdocstheme.page_context':
            app.disconnect(event.id)
    logging.getLogger('sphinx.openstackdocstheme.ext').addFilter(
        lambda record: 'gitsha' not in record.msg
    )


def setup(app):
    _without_git(app)
    if not _has_history():
        app.connect('source-read', _without_history)
