# SPDX-License-Identifier: Apache-2.0
"""Verification of an instance after its upgrade, as its owner would look at it."""
