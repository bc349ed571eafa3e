# SPDX-License-Identifier: Apache-2.0
"""A container engine in the guest, and the containers in it."""
