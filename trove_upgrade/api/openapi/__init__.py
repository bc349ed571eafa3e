# SPDX-License-Identifier: Apache-2.0
"""The API's description in OpenAPI 3.1: made of the routes, the policies and the schemas of bodies,
with the sentences of `operations` and the forms of `answers`.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

from trove_upgrade.api import errors, policies, schemas
from trove_upgrade.api.call import VERSION_PATH
from trove_upgrade.api.openapi import answers, operations
from trove_upgrade.api.openapi.operations import Operation, Parameter

OPENAPI_VERSION = '3.1.0'
_API_VERSION = '1.0'
_JSON = 'application/json'
_TOKEN = 'token'  # noqa: S105 - the name of a security scheme
#: A variable of a path.
_VARIABLE = re.compile(r'\{([a-z_]+)\}')
_INFO: Mapping[str, Any] = {
    'title': 'trove-upgrade',
    'version': _API_VERSION,
    'description': 'Upgrades of Trove instances. Beside Trove only PATCH and PUT of an instance '
    'with datastore_version, and the resources of upgrades, are answered by this service; '
    "instances and datastores are Trove's own there.",
    'license': {'name': 'Apache-2.0', 'identifier': 'Apache-2.0'},
}


class Described(Protocol):
    """A route, as far as it is described."""

    @property
    def handler(self) -> Callable[..., Any]:
        """Return what answers."""

    @property
    def policy(self) -> str:
        """Return the name of its policy."""

    @property
    def schema(self) -> schemas.Schema | None:
        """Return the form of its body; None: it takes none."""


#: Routes by path and method.
Table = Mapping[str, Mapping[str, Described]]


class Description:
    """The description of a table of routes, made at its first use."""

    def __init__(self, table: Callable[[], Table]) -> None:
        self._table = table

    def document(self, base_url: str) -> dict[str, Any]:
        """Return it for a client that reaches the API at `base_url`, which stands before the
        version.
        """
        return {**self._of_routes, 'servers': [{'url': f'{base_url.rstrip("/")}{VERSION_PATH}'}]}

    @functools.cached_property
    def _of_routes(self) -> Mapping[str, Any]:
        table = self._table()
        return {
            'openapi': OPENAPI_VERSION,
            'info': _INFO,
            'security': [{_TOKEN: []}],
            'tags': [{'name': name} for name in sorted(set(map(_tag, table)))],
            'paths': {path: _path(path, methods) for path, methods in table.items()},
            'components': {
                'schemas': dict(answers.FORMS),
                'securitySchemes': {
                    _TOKEN: {
                        'type': 'apiKey',
                        'in': 'header',
                        'name': 'X-Auth-Token',
                        'description': "A token of Keystone's, of the project in the address.",
                    }
                },
            },
        }


def _path(path: str, methods: Mapping[str, Described]) -> dict[str, Any]:
    return {
        'parameters': [
            {
                'name': name,
                'in': 'path',
                'required': True,
                'description': operations.VARIABLES[name],
                'schema': {'type': 'string'},
            }
            for name in _VARIABLE.findall(path)
        ],
        **{method.lower(): _operation(path, method, route) for method, route in methods.items()},
    }


def _operation(path: str, method: str, route: Described) -> dict[str, Any]:
    told = operations.OPERATIONS[path][method]
    name = route.handler.__name__
    shown: dict[str, Any] = {
        'operationId': f'{route.handler.__module__.rpartition(".")[2]}-{name}-{method.lower()}',
        'summary': told.summary,
        'tags': [_tag(path)],
        'parameters': [_query(one) for one in told.query],
        'responses': dict(_responses(route, told)),
        'x-policy': _policy(route.policy),
    }
    if told.policies:
        shown['x-further-policies'] = [
            {**_policy(name), 'condition': condition} for name, condition in told.policies.items()
        ]
    if route.schema is not None:
        shown['requestBody'] = {
            'required': True,
            'content': {_JSON: {'schema': _portable(route.schema.validator.schema)}},
        }
    return shown


def _tag(path: str) -> str:
    """Return the noun that the path ends with, or that its last variable is one of."""
    return next(part for part in reversed(path.split('/')) if not part.startswith('{'))


def _query(told: Parameter) -> dict[str, Any]:
    return {
        'name': told.name,
        'in': 'query',
        'required': False,
        'description': told.description,
        'schema': dict(told.form),
    }


def _policy(name: str) -> dict[str, Any]:
    [rule] = [one for one in policies.list_rules() if one.name == name]
    return {'name': name, 'default': rule.check_str, 'description': rule.description}


def _responses(route: Described, told: Operation) -> Iterator[tuple[str, dict[str, Any]]]:
    yield str(told.status), _success(told)
    by_status: dict[int, list[str]] = {}
    for kind in (
        *operations.OF_ALL,
        *told.refusals,
        *(operations.OF_BODIES if route.schema else ()),
    ):
        by_status.setdefault(errors.status_of_kind(kind), []).append(str(kind.code))
    for status, codes in sorted(by_status.items()):
        found = sorted(set(codes))
        yield (
            str(status),
            {
                'description': f'Refused: {", ".join(found)}.',
                'content': {_JSON: {'schema': answers.reference('Error')}},
                'x-error-codes': found,
            },
        )


def _success(told: Operation) -> dict[str, Any]:
    shown: dict[str, Any] = {'description': told.answer_text}
    if told.answer is not None:
        shown['content'] = {_JSON: {'schema': answers.reference(told.answer)}}
    if told.has_location:
        shown['headers'] = {
            'Location': {'description': 'Its address.', 'schema': {'type': 'string'}}
        }
    return shown


def _portable(form: Any) -> Any:
    r"""Return a schema with its patterns in the dialect that JSON Schema names, ECMA-262: it has
    neither \A nor \Z, and there ^ and $ are of the whole text.
    """
    if isinstance(form, Mapping):
        return {
            name: inner.replace(r'\A', '^').replace(r'\Z', '$')
            if name == 'pattern' and isinstance(inner, str)
            else _portable(inner)
            for name, inner in form.items()
        }
    return [_portable(inner) for inner in form] if isinstance(form, list) else form
