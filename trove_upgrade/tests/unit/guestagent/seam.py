# SPDX-License-Identifier: Apache-2.0
"""Something happens in the very moment before a call of Python's to the file system: Python tells
its audit hooks of each.

Source: Python's documentation, "Audit events table".  A hook cannot be taken back: ours is silent
outside of `before`.
"""

import contextlib
import fnmatch
import os
import pathlib
import sys
import threading

_EVENTS = frozenset(
    {
        'open',
        'os.scandir',
        'os.listdir',
        'os.chown',
        'os.remove',
        'os.rename',
        'os.rmdir',
        'os.listxattr',
        'os.getxattr',
    }
)
_active = []


def _heard(event, arguments):
    if _active and event in _EVENTS and threading.get_ident() == _active[-1][0]:
        thread, act = _active.pop()
        try:
            act(event, arguments[0] if arguments else None)
        finally:
            _active.append((thread, act))


sys.addaudithook(_heard)


@contextlib.contextmanager
def before(act):
    """Call `act` with each event of this thread and what it is about; what `act` does itself is no
    event.
    """
    _active.append((threading.get_ident(), act))
    try:
        yield
    finally:
        _active.pop()


@contextlib.contextmanager
def once_before(event, name, action):
    """Call `action` before the first `event` that is about something whose name is like `name`;
    fails where there was none.
    """
    done = []

    def act(found, what):
        if found == event and not done and fnmatch.fnmatchcase(_name(what), name):
            done.append(what)
            action()

    with before(act):
        yield
    if not done:
        raise AssertionError(f'there was no {event} of {name}')


def _name(what):
    if isinstance(what, int):
        what = pathlib.Path(f'/proc/self/fd/{what}').readlink()
    return pathlib.Path(os.fsdecode(what)).name
