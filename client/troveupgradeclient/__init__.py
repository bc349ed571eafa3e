# SPDX-License-Identifier: Apache-2.0
"""Client of the upgrade service of OpenStack Trove: a Python API, and a plugin of the openstack
command.
"""
