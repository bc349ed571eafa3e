# SPDX-License-Identifier: Apache-2.0
"""Records below /run: they outlive the agent and no boot."""

import dataclasses
import pathlib
from typing import TYPE_CHECKING, TypeVar

from trove_upgrade.domain import logs
from trove_upgrade.guestagent.machine import durable

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

LOG = logs.get_logger(__name__)
Kind = TypeVar('Kind', bound='DataclassInstance')


def write(path: pathlib.Path, record: 'DataclassInstance') -> None:
    """Write the record, and the directory that it is in.

    :raises OSError: it cannot be written.
    """
    durable.make_directory(path.parent)
    durable.write_json(path, dataclasses.asdict(record))


def read(path: pathlib.Path, kind: type[Kind]) -> Kind | None:
    """Return the record, also one of a release that knows more of it, or less; None for none, and
    for one that is broken.
    """
    known = {field.name for field in dataclasses.fields(kind)}
    try:
        document = durable.read_json(path)
        return kind(**{name: document[name] for name in known & document.keys()})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        LOG.warning('%s cannot be read: %s', path, error)
        return None
