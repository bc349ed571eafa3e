# SPDX-License-Identifier: Apache-2.0
"""Outages of upgrades as a client feels them: ours, by hand, and after the death of a process."""
