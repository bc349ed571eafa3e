# SPDX-License-Identifier: Apache-2.0
"""Servers of the MySQL family: differences between them, wherever they run."""
