# SPDX-License-Identifier: Apache-2.0
"""The bridge: brings our agent into guests that are older than the upgrade feature."""
