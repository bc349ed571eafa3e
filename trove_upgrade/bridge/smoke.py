# SPDX-License-Identifier: Apache-2.0
"""A new instance of a version: made, waited for and deleted again, whatever becomes of it.

Its name carries the id of the run, so that one that a killed process has left is found.
"""

import contextlib
import dataclasses
from collections.abc import Iterator

from trove_upgrade.domain import exceptions, logs
from trove_upgrade.domain.database_service import (
    DatabaseInstance,
    DatabaseService,
    DatabaseServiceRefused,
    DatabaseServiceUnavailable,
    NewInstance,
    NotOffered,
    OfferedVersion,
)
from trove_upgrade.domain.ports import Clock
from trove_upgrade.domain.verified import Outcome
from trove_upgrade.domain.waits import Pause, Tell

LOG = logs.get_logger(__name__)

PREFIX = 'trove-upgrade-smoke-'
#: Trove's answer to the deletion of an instance that it builds.
_BUSY = 422


@dataclasses.dataclass(frozen=True, kw_only=True)
class Shape:
    """Size and place of the new instances."""

    flavor_id: str
    volume_size_gb: int | None  #: None: the data is on the disks of the flavor
    network_id: str | None  #: None: Trove's own networks alone


@dataclasses.dataclass(frozen=True, kw_only=True)
class Smoked:
    """Result of one version."""

    version_id: str
    instance_name: str
    outcome: Outcome
    message: str
    seconds: float  #: until it served, or failed

    @property
    def is_failure(self) -> bool:
        """Return whether something is not as it should be."""
        return self.outcome is Outcome.FAILED


@dataclasses.dataclass(frozen=True, kw_only=True)
class Limits:
    """Seconds."""

    serving: float = 1800.0
    gone: float = 600.0
    #: until an instance that Trove still builds is taken out of its hands to be deleted
    building: float = 120.0
    #: for which an instance is looked for whose creation got no answer
    unanswered: float = 30.0
    look: float = 5.0


class InstanceLeft(exceptions.TroveUpgradeError):
    """A new instance could not be deleted."""

    code = 'BRIDGE_SMOKE_INSTANCE_LEFT'
    template = (
        'Instance {name} of a smoke test is still there: {found}. Delete it: "openstack database '
        'instance force delete {name}".'
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SmokeTest:
    """Makes one instance at a time, in the project of the login."""

    service: DatabaseService
    clock: Clock
    pause: Pause
    tell: Tell
    limits: Limits = Limits()

    def create(self, run_id: str, version_id: str, shape: Shape) -> Smoked:
        """Make an instance, wait until it serves, delete it and wait until it is gone."""
        began = self.clock.monotonic()
        name = name_of(run_id, version_id)
        with self._deleted_at_the_end(name) as made:
            outcome, message = self._outcome(name, version_id, shape, made)
            seconds = self.clock.monotonic() - began
        if made.left is not None:
            outcome, message = Outcome.FAILED, f'{message} {made.left.message}'
        return Smoked(
            version_id=version_id,
            instance_name=name,
            outcome=outcome,
            message=message,
            seconds=seconds,
        )

    def left_of(self, run_id: str) -> tuple[DatabaseInstance, ...]:
        """Return what earlier processes of a run have left."""
        prefix = name_of(run_id, '')
        return tuple(one for one in self.service.instances() if one.name.startswith(prefix))

    def delete_left(self, run_id: str) -> tuple[InstanceLeft, ...]:
        """Delete what earlier processes of a run have left; return what could not be deleted.

        :raises DatabaseServiceUnavailable, DatabaseServiceRefused: what there is was not told.
        """
        names: dict[str, None] = {}
        for one in self.left_of(run_id):
            self.tell(f'Instance {one.id}, {one.name}, was left by an earlier process.')
            names[one.name] = None
        ends = [_Removal(self, name, _Made()).run() for name in names]
        return tuple(end for end in ends if end is not None)

    def _outcome(
        self, name: str, version_id: str, shape: Shape, made: '_Made'
    ) -> tuple[Outcome, str]:
        try:
            version = self.service.version(version_id)
            self._create(name, version, shape, made)
            return self._serving(made)
        except NotOffered as error:
            return Outcome.NOT_OFFERED, error.message
        except exceptions.TroveUpgradeError as error:
            return Outcome.FAILED, error.message

    def _create(self, name: str, version: OfferedVersion, shape: Shape, made: '_Made') -> None:
        wanted = NewInstance(
            name=name,
            datastore=version.datastore_id or '',
            version=version.id,
            flavor_id=shape.flavor_id,
            volume_size_gb=shape.volume_size_gb,
            network_id=shape.network_id,
        )
        made.is_uncertain = True  # until its answer is there
        try:
            made.ids.add(self.service.create_instance(wanted).id)
        except (DatabaseServiceRefused, NotOffered):
            made.is_uncertain = False
            raise
        made.is_uncertain = False
        self.tell(f'Instance {name} of version {version.name} is made.')

    def _serving(self, made: '_Made') -> tuple[Outcome, str]:
        (instance_id,) = made.ids
        until = self.clock.monotonic() + self.limits.serving
        state = 'not shown yet'
        while True:
            with contextlib.suppress(DatabaseServiceUnavailable):  # it is asked again
                shown = self.service.instance(instance_id)
                if shown.is_serving:
                    return Outcome.OK, f'Instance {instance_id} serves.'
                if shown.is_broken:
                    fault = f' Its fault: {shown.fault}.' if shown.fault else ''
                    return Outcome.FAILED, f'Instance {instance_id} is {shown.state}.{fault}'
                state = shown.state
            if self.clock.monotonic() >= until:
                return Outcome.FAILED, (
                    f'Instance {instance_id} does not serve {self.limits.serving:g} s after it was '
                    f'asked for: {state}.'
                )
            self.tell(f'Instance {instance_id}: {state}.')
            self.pause.sleep(self.limits.look)

    @contextlib.contextmanager
    def _deleted_at_the_end(self, name: str) -> Iterator['_Made']:
        made = _Made()
        removal = _Removal(self, name, made)
        try:
            yield made
        except BaseException:  # an interruption goes on its way when nothing is left
            left = removal.run()
            if left is not None:
                LOG.warning('%s', left.message)
            raise
        made.left = removal.run()


@dataclasses.dataclass
class _Made:
    """Findings of a test on its way."""

    ids: set[str] = dataclasses.field(default_factory=set)
    is_uncertain: bool = False  #: a creation was asked for, and no answer tells of it
    left: InstanceLeft | None = None


class _Removal:
    """Deletes what was made, by its name too, as a killed process may have left another one."""

    def __init__(self, test: SmokeTest, name: str, made: _Made) -> None:
        self._test, self._name, self._made = test, name, made
        self._limits, self._clock = test.limits, test.clock
        self._began = self._clock.monotonic()
        self._asked: set[str] = set()

    def run(self) -> InstanceLeft | None:
        """Return None when nothing is left.  An outage is waited for."""
        self._began = self._clock.monotonic()
        while True:
            found = self._round()
            if found is None:
                return None
            if self._seconds >= self._limits.gone:
                return InstanceLeft(name=self._name, found=found)
            self._told(found)
            self._test.pause.sleep(self._limits.look)

    @property
    def _seconds(self) -> float:
        return self._clock.monotonic() - self._began

    def _told(self, found: str) -> None:
        """Tell of it; a listener that would end the work does not end this part of it."""
        try:
            self._test.tell(f'Instance {self._name} is deleted: {found}.')
        except Exception as error:  # noqa: BLE001 - the instance has to go
            LOG.info('The deletion of instance %s goes on: %s', self._name, error)

    def _round(self) -> str | None:
        """Ask once for all that is there; return in words what still is, or None."""
        try:
            self._made.ids |= {
                one.id for one in self._test.service.instances() if one.name == self._name
            }
            states = [state for each in self._made.ids if (state := self._state(each)) is not None]
        except exceptions.TroveUpgradeError as error:
            return error.message.rstrip('.')
        if not states and self._made.is_uncertain and self._seconds < self._limits.unanswered:
            return 'its creation got no answer, and it may still come'
        return ', '.join(states) or None

    def _state(self, instance_id: str) -> str | None:
        """Ask for its deletion if that was not accepted yet; None: it is gone."""
        try:
            shown = self._test.service.instance(instance_id)
        except exceptions.InstanceNotFound:
            return None
        if instance_id not in self._asked or shown.is_broken:
            self._delete(instance_id)
        return shown.state

    def _delete(self, instance_id: str) -> None:
        service = self._test.service
        try:
            service.delete_instance(instance_id)
        except DatabaseServiceRefused as error:
            if error.status != _BUSY:
                raise
            if self._seconds >= self._limits.building:
                service.reset_status(instance_id)  # the next round deletes it
            return
        self._asked.add(instance_id)


def name_of(run_id: str, version_id: str) -> str:
    """Return the name of a run's instance of a version; without one, how the names begin."""
    return f'{PREFIX}{run_id}-{version_id[:8]}'  # short enough for the name of a host
