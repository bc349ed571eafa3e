# SPDX-License-Identifier: Apache-2.0
"""Python API: version 1 of the service."""
