# SPDX-License-Identifier: Apache-2.0
"""Measures speed on this machine.  A figure means something only beside the baseline of the same
run.
"""
