# SPDX-License-Identifier: Apache-2.0
"""Bundle of the guest install: one archive with the agent, its libraries and its Python, for guests
that have neither Python 3.11 nor a way to a package index.

`make bundle` makes it (tools/bundle); the bridge checks it here before any guest is opened.
"""
