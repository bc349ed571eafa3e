# SPDX-License-Identifier: Apache-2.0
"""The demonstration: one real guest, one real upgrade, and the proof that nothing was lost."""
