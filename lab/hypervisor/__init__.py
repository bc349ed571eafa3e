# SPDX-License-Identifier: Apache-2.0
"""Guests of the one-machine cloud: Linux namespaces that Nova takes for servers.

Imports the standard library and psutil only (`driver` also Nova and oslo), so that nova-compute's
own virtual environment can load it.
"""
