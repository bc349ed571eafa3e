# SPDX-License-Identifier: Apache-2.0
"""The guest's part of an upgrade, one module per method of the RPC API.

Each looks at the marks and at the world first and goes on from there: each may be run again from
any point.
"""
