# SPDX-License-Identifier: Apache-2.0
"""Nova and Glance, behind the ports of the domain."""
