# SPDX-License-Identifier: Apache-2.0
"""Preconditions of a run, a file each.  Each looks and changes nothing."""
