# SPDX-License-Identifier: Apache-2.0
"""Sentences, queries, answers and refusals of each route, by path and method."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from trove_upgrade.api import errors
from trove_upgrade.api.policies import upgrades as upgrades_policy
from trove_upgrade.domain import exceptions, refusals, states

Refusal = type[exceptions.TroveUpgradeError]


@dataclasses.dataclass(frozen=True)
class Parameter:
    """A parameter of the query."""

    name: str
    description: str
    form: Mapping[str, Any]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Operation:
    """One method of one path, as its reader should know it."""

    summary: str
    answer: str | None  #: name of a form in `answers`; None: the answer has no body
    answer_text: str = 'Found.'
    status: int = 200
    has_location: bool = False
    query: tuple[Parameter, ...] = ()
    refusals: tuple[Refusal, ...] = ()  #: besides OF_ALL, and OF_BODIES where it takes one
    #: policies that are asked besides the route's, each with the requests of which it is asked
    policies: Mapping[str, str] = dataclasses.field(default_factory=dict)


#: Refusals of every route.
OF_ALL: tuple[Refusal, ...] = (
    errors.NotAuthenticated,
    errors.Forbidden,
    exceptions.TroveUpgradeError,  # a fault of ours: INTERNAL_ERROR
    errors.DatabaseUnavailable,
    errors.DatabaseSchemaMissing,
    errors.PathInvalid,
    errors.MethodOverridden,  # beside Trove
    errors.PipelineRefused,  # alone, also with other statuses of 4xx
    errors.PipelineUnavailable,  # alone
)
#: Refusals of every route that takes a body.
OF_BODIES: tuple[Refusal, ...] = (
    errors.BodyNotJson,
    errors.BodyDuplicateKey,
    errors.BodyInvalid,
    errors.BodyLengthUnknown,
    errors.BodyTooLarge,
    errors.UnsupportedMediaType,
)
_OF_TARGETS: tuple[Refusal, ...] = (
    exceptions.DatastoreVersionNotFound,
    exceptions.DatastoreVersionAmbiguous,
    exceptions.DatastoreVersionOfOther,
    exceptions.DatastoreVersionInactive,
    errors.VersionHasNoImage,
    exceptions.VersionNotAllowed,
)
#: Of a query with a value that is none.
_OF_QUERIES: tuple[Refusal, ...] = (errors.QueryInvalid,)

#: Variables of paths.
VARIABLES: Mapping[str, str] = {
    'project_id': 'Id of the project, which is that of the token.',
    'instance_id': 'Id of an instance.',
    'check_id': 'Id of an upgrade check.',
    'upgrade_id': 'Id of an upgrade.',
    'drift_project_id': 'Id of the project that is looked at.',
    'datastore': 'Name or id of a datastore.',
    'version': 'Name or id of a version of the datastore.',
    'version_id': 'Id of a version of any datastore.',
}

_TEXT = {'type': 'string'}
_ID = {'type': 'string', 'format': 'uuid'}
_FLAG = {'type': 'boolean'}
LIMIT = Parameter('limit', 'How many at most; capped.', {'type': 'integer', 'minimum': 1})
MARKER = Parameter('marker', 'The last id of the page before.', _ID)
_STATE = Parameter(
    'state',
    'Only those in this state; may be repeated.',
    {'type': 'array', 'items': {'enum': [str(each) for each in states.UpgradeState]}},
)
#: Of every list of upgrades.
_CHOSEN = (
    _STATE,
    Parameter('instance_name', 'Only those of instances with this name.', _TEXT),
    Parameter('target_version_id', 'Only those to this version.', _ID),
    Parameter(
        'since', 'Only those created since; with its zone.', {**_TEXT, 'format': 'date-time'}
    ),
    Parameter('sort_key', 'created_at by default.', {'enum': ['created_at', 'updated_at']}),
    Parameter('sort_dir', 'desc by default.', {'enum': ['asc', 'desc']}),
    Parameter(
        'marker_time',
        'As the link to the next page has it, where it is sorted by updated_at.',
        {**_TEXT, 'format': 'date-time'},
    ),
)
_PAGE = (LIMIT, MARKER)
_CLUSTERED = Parameter('include_clustered', 'Members of clusters, too.', _FLAG)

#: Of every start of an upgrade.
_OF_STARTS: tuple[Refusal, ...] = (
    exceptions.InstanceNotFound,
    *_OF_TARGETS,
    errors.NotBeforeInvalid,
    errors.HoldAndNotBefore,
    exceptions.InstanceBusy,
    exceptions.InstanceNeedsRetry,
    refusals.InstanceHeld,
    refusals.InstanceHasNoServer,
    refusals.GuestAgentMissing,
    refusals.OlderService,
)
_EDIT = Operation(
    summary='Start an upgrade of the instance',
    status=202,
    answer=None,
    answer_text='The upgrade is stored and begins. The answer has no body.',
    refusals=_OF_STARTS,
)
#: Of the four actions.
_OF_ACTIONS: tuple[Refusal, ...] = (
    exceptions.UpgradeNotFound,
    refusals.AbortRefused,
    refusals.ProceedRefused,
    exceptions.RetryRefused,
    exceptions.RetryLeadsBack,
    exceptions.RetryOfLaterRelease,
    exceptions.RollbackRefused,
    refusals.ActionOvertaken,
    exceptions.InstanceBusy,
    exceptions.InstanceChanged,
    exceptions.InstanceDeleted,
)

OPERATIONS: Mapping[str, Mapping[str, Operation]] = {
    '/{project_id}/instances': {
        'GET': Operation(
            summary="List the project's instances",
            answer='Instances',
            query=(*_PAGE, _CLUSTERED),
            refusals=_OF_QUERIES,
        )
    },
    '/{project_id}/instances/{instance_id}': {
        'GET': Operation(
            summary='Show an instance',
            answer='InstanceShown',
            refusals=(exceptions.InstanceNotFound,),
        ),
        'PATCH': _EDIT,
        'PUT': _EDIT,
    },
    '/{project_id}/instances/{instance_id}/upgrade-targets': {
        'GET': Operation(
            summary='List the versions that the instance may be upgraded to, and why not to others',
            answer='UpgradeTargets',
            refusals=(exceptions.InstanceNotFound,),
        )
    },
    '/{project_id}/instances/{instance_id}/upgrade-checks': {
        'POST': Operation(
            summary='Have everything checked that could stop an upgrade',
            status=202,
            answer='UpgradeCheckShown',
            answer_text='The report is made; it is asked for at its address.',
            has_location=True,
            refusals=(exceptions.InstanceNotFound, *_OF_TARGETS),
        )
    },
    '/{project_id}/instances/{instance_id}/upgrade-checks/{check_id}': {
        'GET': Operation(
            summary='Show the report of a check, as far as it is',
            answer='UpgradeCheckShown',
            refusals=(exceptions.InstanceNotFound, exceptions.UpgradeCheckNotFound),
        )
    },
    '/{project_id}/instances/{instance_id}/upgrades': {
        'GET': Operation(
            summary='List the upgrades of an instance, newest first',
            answer='Upgrades',
            query=(*_PAGE, *_CHOSEN),
            refusals=(*_OF_QUERIES, exceptions.InstanceNotFound, exceptions.UpgradeNotFound),
        )
    },
    '/{project_id}/mgmt/instances': {
        'GET': Operation(
            summary='List the instances of all projects',
            answer='Instances',
            query=(
                *_PAGE,
                _CLUSTERED,
                Parameter('project_id', 'Only those of this project.', _TEXT),
                Parameter('deleted', 'Deleted ones alone, or none of them; absent: both.', _FLAG),
            ),
            refusals=_OF_QUERIES,
        )
    },
    '/{project_id}/mgmt/upgrade-drift': {
        'GET': Operation(
            summary='Count by project the instances that do not run the image of their version',
            answer='ProjectDrifts',
            query=(
                LIMIT,
                Parameter('marker', 'The last project id of the page before.', _TEXT),
                Parameter('project_id', 'Only that of this project.', _TEXT),
            ),
            refusals=_OF_QUERIES,
        )
    },
    '/{project_id}/mgmt/upgrade-drift/{drift_project_id}': {
        'GET': Operation(
            summary='List the instances of a project that do not run the image of their version',
            answer='DriftedInstances',
            query=_PAGE,
            refusals=_OF_QUERIES,
        )
    },
    '/{project_id}/upgrades': {
        'GET': Operation(
            summary="List the project's upgrades, newest first",
            answer='Upgrades',
            query=(
                *_PAGE,
                *_CHOSEN,
                Parameter('instance_id', 'Only those of this instance.', _ID),
                Parameter('all_projects', 'Those of all projects, by its own policy.', _FLAG),
                Parameter('project_id', 'Those of this project, by the same policy.', _TEXT),
            ),
            refusals=(*_OF_QUERIES, exceptions.UpgradeNotFound),
            policies={
                upgrades_policy.LIST_ALL: 'all_projects is true, or project_id names another '
                'project than the address.'
            },
        ),
        'POST': Operation(
            summary='Start an upgrade of an instance, and show it',
            status=202,
            answer='UpgradeShown',
            answer_text='The upgrade is stored and begins.',
            has_location=True,
            refusals=_OF_STARTS,
        ),
    },
    '/{project_id}/upgrades/{upgrade_id}': {
        'GET': Operation(
            summary='Show an upgrade with its steps',
            answer='UpgradeShown',
            refusals=(exceptions.UpgradeNotFound,),
        )
    },
    '/{project_id}/upgrades/{upgrade_id}/action': {
        'POST': Operation(
            summary='Abort an upgrade, let it proceed, retry it or roll it back',
            status=202,
            answer='UpgradeShown',
            answer_text='The action is taken, or was before.',
            refusals=_OF_ACTIONS,
            policies={
                name: f'The action is {action}.'
                for action, name in upgrades_policy.OF_ACTION.items()
            },
        )
    },
    '/{project_id}/upgrades/{upgrade_id}/actions': {
        'GET': Operation(
            summary='Tell of each action whether it can be taken now, and what it would do',
            answer='Actions',
            refusals=(exceptions.UpgradeNotFound,),
        )
    },
    '/{project_id}/upgrade-openapi': {
        'GET': Operation(
            summary='Show this description', answer='Description', answer_text='OpenAPI 3.1.'
        )
    },
    '/{project_id}/datastores': {
        'GET': Operation(summary='List datastores with their versions', answer='Datastores')
    },
    '/{project_id}/datastores/versions/{version_id}': {
        'GET': Operation(
            summary='Show a version of any datastore',
            answer='VersionShown',
            refusals=(exceptions.DatastoreVersionNotFound,),
        )
    },
    '/{project_id}/datastores/{datastore}': {
        'GET': Operation(
            summary='Show a datastore with its versions',
            answer='DatastoreShown',
            refusals=(exceptions.DatastoreNotFound,),
        )
    },
    '/{project_id}/datastores/{datastore}/versions': {
        'GET': Operation(
            summary='List the versions of a datastore',
            answer='Versions',
            refusals=(exceptions.DatastoreNotFound,),
        )
    },
    '/{project_id}/datastores/{datastore}/versions/{version}': {
        'GET': Operation(
            summary='Show a version of a datastore',
            answer='VersionShown',
            refusals=(
                exceptions.DatastoreNotFound,
                exceptions.DatastoreVersionNotFound,
                exceptions.DatastoreVersionAmbiguous,
            ),
        )
    },
}
