# SPDX-License-Identifier: Apache-2.0
"""Targets: from what a user calls a version to the version that an instance may be upgraded to."""

from collections.abc import Sequence

from trove_upgrade.api import errors
from trove_upgrade.api.call import Call, is_name, is_uuid
from trove_upgrade.domain import exceptions, instances, versions


def instance_of(call: Call, instance_id: str, *, with_details: bool = False) -> instances.Instance:
    """The instance of the address; with its status, fault and replicas where they are to be shown.

    :raises InstanceNotFound: no such one, another project's, or what cannot be an id; clients then
    look the text up as a name.
    """
    if not is_uuid(instance_id):
        raise exceptions.InstanceNotFound(instance_id=printable(instance_id))
    row = call.services.repos.instances.get(instance_id, with_details=with_details)
    return _seen(call, row)


def instance_with_named(
    call: Call, instance_id: str, id_or_name: str
) -> tuple[instances.Instance, Sequence[instances.DatastoreVersion] | None]:
    """Return the instance of the address, and the versions that `id_or_name` may mean, for
    `target_of`; None: they are not known yet.

    :raises InstanceNotFound: as `instance_of`.
    """
    if not (is_uuid(instance_id) and id_or_name.isascii()):
        return instance_of(call, instance_id), None
    row, named = call.services.repos.instances.get_with_named(instance_id, id_or_name)
    return _seen(call, row), named


def _seen(call: Call, row: instances.Instance) -> instances.Instance:
    # the policy (`is_admin`) has to be asked only of another project's instance
    if row.project_id != call.project_id and not call.is_admin:
        raise exceptions.InstanceNotFound(instance_id=row.id)
    return row


def target_of(
    call: Call,
    instance: instances.Instance,
    id_or_name: str,
    known: Sequence[instances.DatastoreVersion] | None = None,
) -> instances.DatastoreVersion:
    """The version that `id_or_name` names, by id or by name within the instance's datastore, if the
    instance may be upgraded to it.

    :raises DatastoreVersionNotFound, DatastoreVersionAmbiguous, DatastoreVersionOfOther: it names
    none, several, another datastore's.
    :raises DatastoreVersionInactive, VersionHasNoImage, VersionNotAllowed: it may not be used, or
    not for this instance.
    """
    target = _named(call, instance, id_or_name, known)
    verdict = call.services.rules.between(instance.version, target)
    if verdict.allowed:
        return target
    if verdict.code is versions.Reason.INACTIVE:
        raise exceptions.DatastoreVersionInactive(
            version=target.name if call.is_admin else id_or_name, datastore=target.datastore_name
        )
    if verdict.code is versions.Reason.NO_IMAGE:
        raise errors.VersionHasNoImage(version=target.name)
    raise exceptions.VersionNotAllowed(
        instance_id=instance.id,
        datastore=instance.version.datastore_name,
        former=instance.version.name,
        target=target.name,
        reason=verdict.reason,
    )


def _named(
    call: Call,
    instance: instances.Instance,
    id_or_name: str,
    known: Sequence[instances.DatastoreVersion] | None,
) -> instances.DatastoreVersion:
    try:
        return version_of(call, instance.version.datastore_id, id_or_name, known)
    except exceptions.DatastoreVersionNotFound as error:
        missing = exceptions.DatastoreVersionNotFound(
            version=id_or_name, datastore=instance.version.datastore_name
        )
        if not is_uuid(id_or_name):
            raise missing from error
        try:
            other = call.services.repos.datastores.version_by_id(id_or_name)
        except exceptions.DatastoreVersionNotFound:
            raise missing from error
    if not (other.active or call.is_admin):
        raise missing
    raise exceptions.DatastoreVersionOfOther(
        version=id_or_name,
        instance_id=instance.id,
        other=other.datastore_name,
        datastore=instance.version.datastore_name,
    )


def version_of(
    call: Call,
    datastore_id: str,
    id_or_name: str,
    known: Sequence[instances.DatastoreVersion] | None = None,
) -> instances.DatastoreVersion:
    """The version of a datastore by id or name.  Of several with one name the caller's choice is
    among those that the caller sees.

    :raises DatastoreVersionNotFound, DatastoreVersionAmbiguous: it names none, or several.
    """
    datastores = call.services.repos.datastores
    try:
        return datastores.version(datastore_id, id_or_name, known)
    except exceptions.DatastoreVersionAmbiguous as error:
        if call.is_admin:
            raise
        seen = [
            each
            for each in datastores.versions(datastore_id, active_only=True)
            if each.name == id_or_name
        ]
        if len(seen) == 1:
            return seen[0]
        if seen:
            raise exceptions.DatastoreVersionAmbiguous(
                version=id_or_name,
                datastore=seen[0].datastore_name,
                count=len(seen),
                ids=', '.join(each.id for each in seen),
            ) from error
        raise exceptions.DatastoreVersionNotFound(
            version=id_or_name, datastore=error.facts['datastore']
        ) from error


def printable(text: str) -> str:
    """`text` of an address as it may stand in a message and in a log."""
    return text if is_name(text) else ascii(text)[:64]
