# SPDX-License-Identifier: Apache-2.0
"""Neutron's security groups at the guests' ports: rules are read from Neutron and enforced with
nftables in each network's namespace.  Off by default; a cloud is brought up with them or without.

- `rules.py`: what a port lets through, as data.
- `ruleset.py`: the same as nftables of the bridge family, with flows of its own.
- `neutron.py`: reads it from Neutron's API.
- `guard.py`: the process that keeps both the same.
"""
