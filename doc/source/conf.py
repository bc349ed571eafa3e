# SPDX-License-Identifier: Apache-2.0
"""Sphinx configuration; the references to options and policies are generated from code."""
import pathlib

project = 'trove-upgrade'
copyright = 'OpenStack contributors'
extensions = ['oslo_config.sphinxext', 'oslo_policy.sphinxpolicygen', 'oslo_policy.sphinxext', 'reno.sphinxext']
html_theme = 'alabaster'
exclude_patterns = []
suppress_warnings = ['config.cache']
_etc = pathlib.Path(__file__).resolve().parents[2] / 'etc' / 'trove-upgrade'
policy_generator_config_file = str(_etc / 'policy-generator.conf')
sample_policy_basename = '_static/trove-upgrade'
