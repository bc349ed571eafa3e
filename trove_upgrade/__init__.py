# SPDX-License-Identifier: Apache-2.0
"""Moves a running database instance of OpenStack Trove onto a new image."""
