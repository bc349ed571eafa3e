# SPDX-License-Identifier: Apache-2.0
"""The way into a guest: the environment of its programs, and the namespaces that they enter."""

from __future__ import annotations

ENVIRONMENT = {
    'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    'HOME': '/root',
    'LANG': 'C.UTF-8',
    'TERM': 'dumb',
}
#: A program of the guest sees all that the guest has, its root and working directory too.
_NAMESPACES = ('--mount', '--uts', '--ipc', '--net', '--pid', '--cgroup', '--root', '--wd')


def entry_of(pid: int) -> tuple[str, ...]:
    """The beginning of a command that runs the rest of it in the guest with this process 1."""
    return ('nsenter', f'--target={pid}', *_NAMESPACES, '--')
