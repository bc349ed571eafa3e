# SPDX-License-Identifier: Apache-2.0
"""Forms of the bodies of requests, and the same in words for the message of a refusal.

A version is named by its name or id. Control characters and lone surrogates are refused here
because databases refuse them later.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jsonschema

from trove_upgrade.api import body

_VERSION = {
    'type': 'string',
    'minLength': 1,
    'maxLength': 255,
    'pattern': r'\A(?!\s*\Z)[^\x00-\x1f\x7f\ud800-\udfff]+\Z',
}


@dataclasses.dataclass(frozen=True)
class Schema:
    """A JSON schema, compiled once."""

    wanted: str
    validator: jsonschema.protocols.Validator

    def check(self, document: Any) -> None:
        """Check a request's body against this schema.

        :raises BodyInvalid: `document` is of another form.
        """
        body.validate(document, self.validator, self.wanted)


def _of_one_version(noun: str) -> Schema:
    document: Mapping[str, Any] = {
        'type': 'object',
        'required': [noun],
        'additionalProperties': False,
        'properties': {
            noun: {
                'type': 'object',
                'required': ['datastore_version'],
                'additionalProperties': False,
                'properties': {'datastore_version': _VERSION},
            }
        },
    }
    return Schema(
        (
            f'{{"{noun}": {{"datastore_version": "<name or id of 1 to 255 characters>"}}}}, '
            'and no other attribute'
        ),
        jsonschema.Draft202012Validator(document),
    )


INSTANCE_EDIT = _of_one_version('instance')
UPGRADE_CHECK = _of_one_version('upgrade_check')
