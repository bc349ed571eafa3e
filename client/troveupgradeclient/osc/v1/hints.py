# SPDX-License-Identifier: Apache-2.0
"""Hints: commands by which a person goes on after a refusal of the service, whose sentences are for
readers of the API, too.
"""

import argparse
import shlex
from collections.abc import Mapping

from troveupgradeclient.printable import printable

_COMMAND = 'openstack database upgrade'
_TARGETS = f'See what is allowed with: {_COMMAND} targets {{instance}}'
_ACTIONS = f'See what can be done with: {_COMMAND} action list {{upgrade}}'
#: By the code of the refusal, with the arguments of the command that was refused.
_HINTS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            'VERSION_NOT_ALLOWED',
            'DATASTORE_VERSION_NOT_FOUND',
            'DATASTORE_VERSION_AMBIGUOUS',
            'DATASTORE_VERSION_OF_OTHER_DATASTORE',
            'DATASTORE_VERSION_INACTIVE',
            'DATASTORE_VERSION_HAS_NO_IMAGE',
        ),
        _TARGETS,
    ),
    **dict.fromkeys(
        (
            'ABORT_REFUSED',
            'PROCEED_REFUSED',
            'RETRY_REFUSED',
            'ROLLBACK_REFUSED',
            'INSTANCE_CHANGED',
            'INSTANCE_DELETED',
        ),
        _ACTIONS,
    ),
    'INSTANCE_BUSY': f'An upgrade that goes on is followed with: {_COMMAND} watch {{instance}}',
    'UPGRADE_HELD': (
        f'Let it begin with: {_COMMAND} proceed {{instance}}; end it with: {_COMMAND} abort '
        '{instance}'
    ),
    'INSTANCE_NEEDS_RETRY': f'Look at it with: {_COMMAND} show {{instance}}',
    'INSTANCE_NOT_FOUND': 'Look it up with: openstack database instance list',
    'UPGRADE_NOT_FOUND': f'Look it up with: {_COMMAND} list',
    'UPGRADE_CHECK_NOT_FOUND': f'Begin a new one with: {_COMMAND} check {{instance}} VERSION',
}


def of(code: str | None, asked: argparse.Namespace) -> str | None:
    """Return the hint of a refusal; None: there is none, or it needs what was not given."""
    given = {
        name: shlex.quote(printable(value))
        for name, value in vars(asked).items()
        if isinstance(value, str)
    }
    try:
        return _HINTS[code or ''].format(**given)
    except KeyError:
        return None
