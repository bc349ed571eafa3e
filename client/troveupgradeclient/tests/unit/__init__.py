# SPDX-License-Identifier: Apache-2.0
"""Unit tests: commands and API against the server that stands in."""
