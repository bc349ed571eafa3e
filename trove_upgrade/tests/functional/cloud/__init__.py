# SPDX-License-Identifier: Apache-2.0
"""On the one cloud that `make functional` brings up: one after the other, because they make it
fail.
"""
