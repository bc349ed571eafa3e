# SPDX-License-Identifier: Apache-2.0
"""The bare machine: a minimal Debian 12 in namespaces of its own, on which the README's commands
are tried as on a new machine.

It shares the kernel and nothing else: a root file system of its own, its own processes, network,
mounts and control groups.  From the machine it takes over the settings that lead to package
registries, at run time.  `python3 -m lab.bare` needs nothing but Python and root.
"""
