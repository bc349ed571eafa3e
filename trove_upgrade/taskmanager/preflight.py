# SPDX-License-Identifier: Apache-2.0
"""The preflight report: one set of checks for the precheck step and for a stored upgrade check."""

import dataclasses
import uuid
from collections.abc import Callable, Sequence

from trove_upgrade.domain import checks, compute, exceptions, guests, ports, versions
from trove_upgrade.domain.cloud_init import documents
from trove_upgrade.domain.guest_results import Checked
from trove_upgrade.domain.instances import DatastoreVersion, Instance, Task
from trove_upgrade.domain.upgrade_checks import PASSING, CheckResult
from trove_upgrade.domain.upgrades import Upgrade
from trove_upgrade.sealing import keys
from trove_upgrade.taskmanager import agent_options, key_delivery, user_data
from trove_upgrade.taskmanager.guest_files import GuestFiles
from trove_upgrade.taskmanager.key_delivery import KeyDelivery

#: As long as the one that is not known before the guest has been stopped: the length counts.
_ANY_UUID = str(uuid.UUID(int=0))
#: Likewise: of the form of any key.
_ZEROS = bytes(keys.SECRET_BYTES)
#: Below, a rebuild keeps the user data of the server.  Source: Nova api-ref, "Rebuild Server",
#: microversion 2.57.
_USER_DATA_SINCE = (2, 57)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Subject:
    """Subject of the checks: an instance and its target."""

    instance_id: str
    target_version_id: str
    target_image_id: str  #: '' where the version has tags instead
    expected_task: Task
    marker: str


@dataclasses.dataclass(frozen=True, kw_only=True)
class Report:
    """All results, and the descriptions that a step goes on with.  A description is None
    where it could not be had.
    """

    results: tuple[CheckResult, ...]
    description: compute.ServerDescription | None = None
    image: compute.Image | None = None
    answer: guests.GuestAnswer | None = None
    cannot_return: bool = False  #: the former image, booted again, would be no guest of ours


def _any_key(instance_id: str) -> keys.GuestKey:
    return keys.GuestKey('0' * 32, instance_id, _ZEROS)


def refusals(results: Sequence[CheckResult]) -> list[CheckResult]:
    """Return what forbids the upgrade; what could not be checked does, too."""
    return [result for result in results if result.outcome not in PASSING]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preflight:
    """Reads the database, Nova, Glance and the guest; changes nothing."""

    instances: ports.InstanceRepository
    datastores: ports.DatastoreRepository
    nova: ports.Compute
    images: ports.Images
    agent: ports.Guest
    rules: versions.Rules
    files: GuestFiles
    key_delivery: KeyDelivery
    broker: ports.GuestBroker | None = None  #: None: it is not asked

    def outside(self, subject: Subject) -> Report:
        """Check what can be checked without the guest.

        :raises ComputeUnavailable: ask again later.
        """
        try:
            row = self.instances.get(subject.instance_id)
            target = self.datastores.version_by_id(subject.target_version_id)
        except (exceptions.InstanceNotFound, exceptions.DatastoreVersionNotFound) as error:
            return Report(results=(checks.refused('instance', error.message, error.code),))
        results = [
            *checks.check_instance(row, subject.expected_task),
            *checks.check_version(row.version, target, self.rules),
            *self._configuration_group(row, target),
        ]
        if row.server_id is None:
            return Report(results=tuple(results))
        try:
            description = self.nova.describe(row.server_id)
        except exceptions.ServerNotFound as error:
            results.append(checks.refused('instance_server', error.message, error.code))
            return Report(results=tuple(results))
        lacking = self._lacking(row, description.server)
        results += self._of_server(subject, row, description, target, lacking)
        try:
            image = self._image(subject, target)
        except exceptions.ImageNotFound as error:
            results.append(checks.refused('image_active', error.message, error.code))
            return Report(results=tuple(results), description=description)
        results += checks.check_image(image, description.server)
        return Report(
            results=tuple(results),
            description=description,
            image=image,
            cannot_return=lacking is not None,
        )

    def _lacking(self, instance: Instance, server: compute.Server) -> str | None:
        """Return why a rollback would boot an image in which none of ours listens; None: one does,
        as far as is known.
        """
        if self.key_delivery.has_agent(instance.version.id, server.image_id):
            return None
        if not user_data.tells_guest(server.user_data):
            return 'its server has no user data that tells its guest which instance it is'
        if self.key_delivery.is_bridges(instance.id):
            return 'a bridge has brought our agent onto its present root disk'
        return None

    def _of_server(
        self,
        subject: Subject,
        instance: Instance,
        description: compute.ServerDescription,
        target: DatastoreVersion,
        lacking: str | None,
    ) -> list[CheckResult]:
        former = (instance.version.id, description.server.image_id)
        user_data_results = self._check_user_data(subject, description, target)
        can_begin = not refusals(user_data_results)
        return [
            *self.key_delivery.check(
                instance.id,
                former if lacking is None else None,
                (target.id, subject.target_image_id or target.image_id),
            ),
            *checks.check_server(description),
            *checks.check_root(description),
            *checks.check_metadata(description),
            *user_data_results,
            *([_no_way_back(instance, lacking)] if lacking is not None and can_begin else ()),
        ]

    def with_guest(self, before: Report, call: guests.GuestCall) -> Report:
        """Add the guest's own checks to `before`; while the guest works, its answer says RUNNING
        and no results are added.

        :raises GuestUnavailable: ask again later.
        """
        answer = self.agent.check_upgrade(call)
        if answer.state is guests.JobState.RUNNING:
            return dataclasses.replace(before, answer=answer)
        results = list(Checked.from_wire(answer.result).checks)
        if answer.state is not guests.JobState.DONE and not refusals(results):
            results.append(
                checks.refused('guest', answer.message, answer.code or 'GUEST_CHECK_FAILED')
            )
        return dataclasses.replace(before, results=(*before.results, *results), answer=answer)

    def report(self, upgrade: Upgrade, make_call: Callable[[], guests.GuestCall]) -> Report:
        """Check an upgrade under its claim: the guest is asked only if nothing else forbids it.

        :raises ComputeUnavailable, GuestUnavailable: ask again later.
        """
        before = self.outside(
            Subject(
                instance_id=upgrade.instance_id,
                target_version_id=upgrade.target_version_id,
                target_image_id=upgrade.target_image_id,
                expected_task=Task.UPGRADING,
                marker=upgrade.marker,
            )
        )
        return before if refusals(before.results) else self.with_guest(before, make_call())

    def _configuration_group(
        self, instance: Instance, target: DatastoreVersion
    ) -> list[CheckResult]:
        configured = (
            self.datastores.configured_parameters(instance.configuration_id)
            if instance.configuration_id
            else ()
        )
        return checks.check_configuration_group(
            instance, configured, target, self.datastores.configuration_parameters(target.id)
        )

    def _image(self, subject: Subject, target: DatastoreVersion) -> compute.Image:
        """The frozen image; else the version's own; else the newest with its tags,
        as Trove finds it.
        """
        image_id = subject.target_image_id or target.image_id
        if image_id:
            return self.images.image(image_id)
        return self.images.newest(target.image_tags)

    def _check_user_data(
        self, subject: Subject, description: compute.ServerDescription, target: DatastoreVersion
    ) -> list[CheckResult]:
        is_carried = key_delivery.is_carried_by(description.max_microversion)
        if not is_carried and self.key_delivery.has_key(subject.instance_id):
            return [
                checks.refused(
                    'user_data',
                    key_delivery.not_carried(subject.instance_id),
                    key_delivery.NOT_CARRIED,
                )
            ]
        key = (
            _any_key(subject.instance_id)
            if is_carried
            and self.key_delivery.gives_key(target.id, subject.target_image_id or target.image_id)
            else None
        )
        try:
            rendered = self.files.render(
                description.server, subject.instance_id, target, subject.marker, _ANY_UUID, key
            )
        except exceptions.StepRefused as error:
            return [checks.refused('user_data', error.message, error.code)]
        kept = _kept_user_data(description, rendered)
        if kept is not None:
            return [kept]
        found = (
            'The user data can be sent again.'
            if user_data.tells_guest(description.server.user_data)
            else "What the server's user data lacks is composed as for a new instance."
        )
        return [
            checks.ok('user_data', found),
            *self._check_broker(subject, rendered),
        ]

    def _check_broker(self, subject: Subject, rendered: bytes) -> list[CheckResult]:
        """Check the broker with the configuration that the rebuilt guest would have: its agent
        could not tell that it is not heard.
        """
        if self.broker is None:
            return []
        found = self.broker.refusal(
            subject.instance_id, agent_options.configuration(documents.files(rendered))
        )
        if found is None:
            return [
                checks.ok(
                    'guest_broker',
                    (
                        'Nothing that the message broker tells would keep the '
                        'rebuilt guest from being heard.'
                    ),
                )
            ]
        return [
            checks.refused(
                'guest_broker',
                f'The rebuilt guest of instance {subject.instance_id} would not be heard: {found}. '
                'Bring the options of the message broker in its trove-guestagent.conf up to date: '
                'set [trove_upgrade] guest_config_file to a file that has them, and see the page '
                'on what a rebuilt guest is told.',
                'GUEST_BROKER_MISMATCH',
            )
        ]


def _no_way_back(instance: Instance, lacking: str) -> CheckResult:
    return CheckResult.warning(
        'way_back',
        f'A failed upgrade of instance {instance.id} cannot be rolled back: {lacking}, and no '
        'agent of ours is recorded for its present image. It can be retried, and its data stays as '
        'it was until the new server is started on it. Make a backup before.',
        'NO_WAY_BACK',
    )


def _kept_user_data(description: compute.ServerDescription, rendered: bytes) -> CheckResult | None:
    """Refuse where a rebuild keeps former user data that cloud-init would write over the new."""
    if description.max_microversion >= _USER_DATA_SINCE:
        return None
    kept = user_data.overwritten(description.server.user_data, rendered)
    if not kept:
        return None
    return checks.refused(
        'user_data',
        f'The user data of server {description.server.id} cannot be replaced: Nova is asked with '
        f'microversion {".".join(map(str, description.max_microversion))}, and below 2.57 a '
        f'rebuild keeps the former one, whose {", ".join(kept)} cloud-init would write over the '
        'new. Raise [trove_upgrade] compute_max_microversion, or upgrade Nova.',
        'USER_DATA_KEPT',
    )
