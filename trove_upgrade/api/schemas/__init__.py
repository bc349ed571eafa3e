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
from trove_upgrade.domain.actions import Action
from trove_upgrade.domain.holds import OnFailure

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


_ID = {'type': 'string', 'minLength': 1, 'maxLength': 255}
#: What a user may choose of an upgrade.
_CHOICES: Mapping[str, Any] = {
    'on_failure': {'enum': [str(each) for each in OnFailure]},
    'hold': {'type': 'boolean'},
    'not_before': {'type': 'string', 'minLength': 1, 'maxLength': 64},
}
_CHOICES_IN_WORDS = (
    '"on_failure" (error or rollback), and "hold" (true or false) or "not_before" (a time) where '
    'they are wanted'
)
_VERSION_IN_WORDS = '"datastore_version": "<name or id of 1 to 255 characters>"'


def _schema(wanted: str, noun: str, properties: Mapping[str, Any], required: list[str]) -> Schema:
    document: Mapping[str, Any] = {
        'type': 'object',
        'required': [noun],
        'additionalProperties': False,
        'properties': {
            noun: {
                'type': 'object',
                'required': required,
                'additionalProperties': False,
                'properties': properties,
            }
        },
    }
    return Schema(wanted, jsonschema.Draft202012Validator(document))


def _of_actions() -> Schema:
    document: Mapping[str, Any] = {
        'type': 'object',
        'minProperties': 1,
        'maxProperties': 1,
        'additionalProperties': False,
        'properties': {
            str(action): {'type': ['object', 'null'], 'maxProperties': 0} for action in Action
        },
    }
    wanted = f'one of {", ".join(Action)} as the only key, with {{}} as its value'
    return Schema(wanted, jsonschema.Draft202012Validator(document))


INSTANCE_EDIT = _schema(
    f'{{"instance": {{{_VERSION_IN_WORDS}}}}}, with {_CHOICES_IN_WORDS}, and no other attribute',
    'instance',
    {'datastore_version': _VERSION, **_CHOICES},
    ['datastore_version'],
)
UPGRADE = _schema(
    f'{{"upgrade": {{"instance_id": "<id>", {_VERSION_IN_WORDS}}}}}, with {_CHOICES_IN_WORDS}, and '
    'no other attribute',
    'upgrade',
    {'instance_id': _ID, 'datastore_version': _VERSION, **_CHOICES},
    ['instance_id', 'datastore_version'],
)
UPGRADE_CHECK = _schema(
    f'{{"upgrade_check": {{{_VERSION_IN_WORDS}}}}}, and no other attribute',
    'upgrade_check',
    {'datastore_version': _VERSION},
    ['datastore_version'],
)
UPGRADE_ACTION = _of_actions()
