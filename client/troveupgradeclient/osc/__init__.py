# SPDX-License-Identifier: Apache-2.0
"""Plugin of the openstack command."""
