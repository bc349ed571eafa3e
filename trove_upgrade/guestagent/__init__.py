# SPDX-License-Identifier: Apache-2.0
"""The guest agent: what an upgrade does inside the guest."""
