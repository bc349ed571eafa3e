# SPDX-License-Identifier: Apache-2.0
"""Forms of the API's answers, in JSON Schema.

What stands in `required` is always there; other fields are there for some callers or in some
states. A later release may add fields, so no form forbids others.
"""

from collections.abc import Mapping
from typing import Any

from trove_upgrade.domain import downtime, estimates, states, upgrade_checks, versions
from trove_upgrade.domain.actions import Action
from trove_upgrade.domain.holds import OnFailure

Form = Mapping[str, Any]

_TEXT: Form = {'type': 'string'}
_ID: Form = {'type': 'string', 'minLength': 1}
_FLAG: Form = {'type': 'boolean'}
_COUNT: Form = {'type': 'integer', 'minimum': 0}
_NUMBER: Form = {'type': 'number'}
_TIME: Form = {'type': 'string', 'description': 'ISO 8601, in UTC and without a zone.'}
_ANY: Form = {}


def reference(name: str) -> Form:
    """Return a reference to a form by its name."""
    return {'$ref': f'#/components/schemas/{name}'}


def _maybe(form: Form) -> Form:
    return {'anyOf': [form, {'type': 'null'}]}


def _list(form: Form) -> Form:
    return {'type': 'array', 'items': form}


def _named(names: Any) -> Form:
    """Return the form of a name of which more may come; those of this release are its examples."""
    return {'type': 'string', 'examples': [str(name) for name in names]}


def _object(*, optional: Mapping[str, Form] | None = None, **required: Form) -> Form:
    return {
        'type': 'object',
        'required': list(required),
        'properties': {**required, **(optional or {})},
    }


def _page(key: str, name: str) -> Form:
    return _object(
        **{key: _list(reference(name))},
        optional={'links': _list(reference('Link'))},
    )


_NOTE: dict[str, Form] = {'step': _TEXT, 'code': _TEXT, 'message': _TEXT}
_VERSION_OF_UPGRADE = _object(id=_ID, optional={'name': _TEXT, 'version': _maybe(_TEXT)})
#: Null in lists where the row is too long to be read there.
_NOTES = _maybe(_list(reference('Note')))
_UPGRADE: dict[str, Form] = {
    'id': _ID,
    'instance_id': _ID,
    'instance_name': _TEXT,
    'project_id': _ID,
    'state': _named(states.UpgradeState),
    'step': _named(states.Step),
    'attempt': _COUNT,
    'cancellable': _FLAG,
    'former_version': _VERSION_OF_UPGRADE,
    'target_version': _VERSION_OF_UPGRADE,
    'target_number': _TEXT,
    'created_at': _TIME,
    'updated_at': _TIME,
    'ended_at': _maybe(_TIME),
    'cause': _maybe(_TEXT),
    'error_code': _maybe(_TEXT),
    'opened_at': _maybe(_TIME),
    'downtime_seconds': _maybe(_NUMBER),
    'downtime': _maybe(reference('Downtime')),
    'rollback_possible_until': _maybe(_TEXT),
    'on_failure': _maybe(_named(OnFailure)),
    'hold': _maybe(_FLAG),
    'not_before': _maybe(_TIME),
    'held_since': _maybe(_TIME),
    'held_until': _maybe(_TIME),
    'request_id': _maybe(_TEXT),
    'steps': _list(reference('Step')),
    'warnings': _NOTES,
    'remarks': _NOTES,
    'links': _list(reference('Link')),
}
#: By caller: those of images for admins, the user for admins and for that user.
_OF_SOME: dict[str, Form] = {
    'former_image_id': _maybe(_ID),
    'target_image_id': _maybe(_ID),
    'user_id': _maybe(_ID),
}
_INSTANCE: dict[str, Form] = {
    'id': _ID,
    'name': _TEXT,
    'status': _TEXT,
    'operating_status': _TEXT,
    'region': _maybe(_TEXT),
    'links': _list(reference('Link')),
    'flavor': _object(id=_TEXT, links=_list(reference('Link'))),
    'datastore': _object(type=_TEXT, version=_TEXT, optional={'version_number': _TEXT}),
    'access': _object(is_public=_FLAG, allowed_cidrs=_list(_TEXT)),
}
_RELATED = _object(id=_ID, links=_list(reference('Link')))
_OF_SOME_INSTANCES: dict[str, Form] = {
    'server_status_unknown': _FLAG,
    'volume': _object(size=_COUNT),
    'hostname': _TEXT,
    'ip': _list(_TEXT),
    'addresses': _list(_object(address=_TEXT, type=_TEXT, optional={'network': _maybe(_TEXT)})),
    'replica_of': _RELATED,
    'replicas': _list(_RELATED),
    'cluster_id': _ID,
    'tenant_id': _ID,
}
_OF_INSTANCES_SHOWN: dict[str, Form] = {
    'fault': _object(message=_TEXT, created=_maybe(_TIME), details=_maybe(_TEXT)),
    'configuration': _object(id=_ID, name=_TEXT, links=_list(reference('Link'))),
    'server_id': _maybe(_ID),
    'volume_id': _maybe(_ID),
    'encrypted_rpc_messaging': _FLAG,
}
_VERSION: dict[str, Form] = {
    'id': _ID,
    'name': _TEXT,
    'version': _TEXT,
    'links': _list(reference('Link')),
}
_OF_SOME_VERSIONS: dict[str, Form] = {
    'datastore': _ID,
    'active': _FLAG,
    'image': _maybe(_ID),
    'image_tags': _list(_TEXT),
    'packages': _maybe(_TEXT),
    'manager': _maybe(_TEXT),
    'registry_ext': _maybe(_TEXT),
    'repl_strategy': _maybe(_TEXT),
}

#: The forms by their names in the description.
FORMS: Mapping[str, Form] = {
    'Error': {
        'type': 'object',
        'description': 'One key, which names the status as Trove does.',
        'minProperties': 1,
        'maxProperties': 1,
        'additionalProperties': _object(code={'type': 'integer'}, message=_TEXT, error_code=_TEXT),
    },
    'Link': _object(rel=_TEXT, href=_TEXT),
    'Note': _object(**_NOTE),
    'SettingChanged': _object(**_NOTE, name=_TEXT, before=_ANY, after=_ANY),
    'Step': _object(
        step=_named(states.Step),
        attempt=_COUNT,
        started_at=_TIME,
        ended_at=_maybe(_TIME),
        runs=_COUNT,
        outcome=_maybe(_named(states.StepOutcome)),
        percent=_maybe(_COUNT),
        message=_maybe(_TEXT),
    ),
    'Downtime': _object(
        **{name: _maybe(_NUMBER) for name in downtime.Downtime.__dataclass_fields__}
    ),
    'ExpectedDowntime': _object(
        median_seconds=_NUMBER,
        percentile_90_seconds=_NUMBER,
        basis=_named(estimates.Basis),
        upgrades=_COUNT,
    ),
    'Upgrade': _object(**_UPGRADE, optional=_OF_SOME),
    'UpgradeInFull': _object(
        **_UPGRADE,
        settings_changed=_maybe(_list(reference('SettingChanged'))),
        expected_downtime=_maybe(reference('ExpectedDowntime')),
        expected_seconds_left=_maybe(_NUMBER),
        optional=_OF_SOME,
    ),
    'UpgradeShown': _object(upgrade=reference('UpgradeInFull')),
    'Upgrades': _page('upgrades', 'Upgrade'),
    'Action': _object(action=_named(Action), allowed=_FLAG, reason_code=_TEXT, reason=_TEXT),
    'Actions': _object(actions=_list(reference('Action'))),
    'UpgradeTarget': _object(
        id=_ID,
        name=_TEXT,
        version=_TEXT,
        active=_FLAG,
        current=_FLAG,
        allowed=_FLAG,
        reason=_TEXT,
        reason_code=_named(versions.Reason),
        expected_downtime=_maybe(reference('ExpectedDowntime')),
        image_is_booted=_maybe(_FLAG),
    ),
    'UpgradeTargets': _object(upgrade_targets=_list(reference('UpgradeTarget'))),
    'CheckResult': _object(
        name=_TEXT,
        outcome=_named(upgrade_checks.CheckOutcome),
        message=_maybe(_TEXT),
        code=_maybe(_TEXT),
    ),
    'UpgradeCheck': _object(
        id=_ID,
        instance_id=_ID,
        target_version_id=_ID,
        state=_named(upgrade_checks.CheckState),
        allowed=_maybe(_FLAG),
        created_at=_TIME,
        updated_at=_TIME,
        cause=_maybe(_TEXT),
        error_code=_maybe(_TEXT),
        results=_list(reference('CheckResult')),
        links=_list(reference('Link')),
        expected_downtime=_maybe(reference('ExpectedDowntime')),
    ),
    'UpgradeCheckShown': _object(upgrade_check=reference('UpgradeCheck')),
    'Instance': _object(**_INSTANCE, optional=_OF_SOME_INSTANCES),
    'Instances': _page('instances', 'Instance'),
    'InstanceInFull': _object(
        **_INSTANCE,
        created=_maybe(_TIME),
        updated=_maybe(_TIME),
        service_status_updated=_maybe(_TIME),
        optional={**_OF_SOME_INSTANCES, **_OF_INSTANCES_SHOWN},
    ),
    'InstanceShown': _object(instance=reference('InstanceInFull')),
    'Version': _object(**_VERSION, optional=_OF_SOME_VERSIONS),
    'VersionShown': _object(version=reference('Version')),
    'Versions': _object(versions=_list(reference('Version'))),
    'Datastore': _object(
        id=_ID,
        name=_TEXT,
        links=_list(reference('Link')),
        versions=_list(reference('Version')),
        optional={'default_version': _ID},
    ),
    'DatastoreShown': _object(datastore=reference('Datastore')),
    'Datastores': _object(datastores=_list(reference('Datastore'))),
    'ProjectDrift': _object(
        project_id=_ID, instances=_COUNT, drifted=_COUNT, unknown=_COUNT, oldest=_maybe(_TIME)
    ),
    'ProjectDrifts': _page('upgrade_drift', 'ProjectDrift'),
    'DriftedInstance': _object(
        instance_id=_ID,
        instance_name=_maybe(_TEXT),
        datastore_version=_maybe(_object(id=_ID, name=_TEXT, version=_TEXT)),
        booted_image_id=_maybe(_ID),
        current_image_id=_maybe(_ID),
        since=_maybe(_TIME),
    ),
    'DriftedInstances': _page('instances', 'DriftedInstance'),
    'Description': {'type': 'object', 'required': ['openapi', 'info', 'paths']},
}
