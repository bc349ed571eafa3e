# SPDX-License-Identifier: Apache-2.0
"""Meaning of an upgrade, in pure Python: no input or output, and no import of our other
packages.
"""
