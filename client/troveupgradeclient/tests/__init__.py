# SPDX-License-Identifier: Apache-2.0
"""Tests of the client, and the server that stands in for the service."""
