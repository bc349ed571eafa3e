# SPDX-License-Identifier: Apache-2.0
"""Container images of databases for guests that run them in containers, as Trove's do, and what
serves them to guests.
"""
