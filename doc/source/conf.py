# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration; the references to options and policies are generated from code."""
project = 'trove-upgrade'
copyright = 'OpenStack contributors'
extensions = ['oslo_config.sphinxext', 'oslo_policy.sphinxext', 'reno.sphinxext']
html_theme = 'alabaster'
exclude_patterns = ['admin/figures.rst']  # is included by admin/upgrade
suppress_warnings = ['config.cache']
