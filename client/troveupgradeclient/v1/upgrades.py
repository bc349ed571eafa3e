# SPDX-License-Identifier: Apache-2.0
"""Upgrades: started, listed, shown, and acted on."""

import contextlib
import dataclasses
import datetime
import enum
import itertools
from collections.abc import Iterable, Iterator

from troveupgradeclient import exceptions
from troveupgradeclient.v1 import times
from troveupgradeclient.v1.api import Api
from troveupgradeclient.v1.following import LAG_SECONDS, Clock, Follower
from troveupgradeclient.v1.instances import INSTANCE_ADVICE, InstanceManager
from troveupgradeclient.v1.names import is_id, quoted
from troveupgradeclient.v1.reading import read
from troveupgradeclient.v1.resources import Action, ActionName, OnFailure, Upgrade

_UPGRADES = '/upgrades'
_WHAT = 'upgrades'
_OPTIONS = 'a hold, a time to begin at, or what becomes of an upgrade that fails'
_ACTIONS = 'actions on upgrades'
_ORDER = 'another order of the list'
_STATES = 'more than one state in a list'
_ADVICE = (
    'Look it up with: openstack database upgrade list. Admins see those of other projects with its '
    'option --all-projects.'
)


class SortKey(enum.StrEnum):
    """Times that a list can be sorted by."""

    CREATED_AT = 'created_at'
    UPDATED_AT = 'updated_at'


class SortDirection(enum.StrEnum):
    """Directions of a list."""

    ASCENDING = 'asc'
    DESCENDING = 'desc'


@dataclasses.dataclass(frozen=True, kw_only=True)
class Filters:
    """Conditions of a list, all of which hold for each upgrade in it."""

    states: tuple[str, ...] = ()
    instance_id: str | None = None
    instance_name: str | None = None
    target_version_id: str | None = None
    since: datetime.datetime | None = None  #: created then or later
    project_id: str | None = None
    all_projects: bool = False

    def query(self) -> dict[str, str | tuple[str, ...]]:
        """Return them as an address has them."""
        found = {
            'instance_id': self.instance_id,
            'instance_name': self.instance_name,
            'target_version_id': self.target_version_id,
            'since': None if self.since is None else times.text(self.since),
            'project_id': self.project_id,
            'all_projects': 'true' if self.all_projects else None,
        }
        query: dict[str, str | tuple[str, ...]] = {
            name: value for name, value in found.items() if value is not None
        }
        return query | ({'state': self._states} if self.states else {})

    @property
    def _states(self) -> tuple[str, ...]:
        return tuple(state.upper() for state in self.states)

    @property
    def is_of_own_project(self) -> bool:
        """Tell whether only the project of the caller's token is asked for."""
        return self.project_id is None and not self.all_projects

    @property
    def may_be_left_out(self) -> bool:
        """Tell whether a service of an earlier release leaves a condition out: pages as
        short as the list would be many then.
        """
        return any((self.instance_name, self.target_version_id, self.since))

    def admits(self, upgrade: Upgrade) -> bool:
        """Tell whether an upgrade belongs to the list: a service of an earlier release does not
        know all of the conditions, and leaves them out.
        """
        target = upgrade.target_version.id if upgrade.target_version else None
        created = times.read(upgrade.created_at)
        return (
            (not self.states or upgrade.state in self._states)
            and self.instance_id in {None, upgrade.instance_id}
            and self.instance_name in {None, upgrade.instance_name}
            and self.target_version_id in {None, target}
            and (self.since is None or created is None or created >= self.since)
        )


@dataclasses.dataclass(frozen=True)
class Order:
    """Order of a list; the newest first, unless it is told."""

    key: SortKey = SortKey.CREATED_AT
    direction: SortDirection = SortDirection.DESCENDING


@dataclasses.dataclass(frozen=True, kw_only=True)
class Start:
    """Options of an upgrade that a service of an earlier release does not know."""

    on_failure: OnFailure | None = None
    hold: bool = False
    not_before: datetime.datetime | None = None

    def body(self) -> dict[str, object]:
        """Return them as a body has them."""
        found: dict[str, object] = {}
        if self.on_failure is not None:
            found['on_failure'] = str(self.on_failure)
        if self.hold:
            found['hold'] = True
        if self.not_before is not None:
            found['not_before'] = times.text(self.not_before)
        return found


class UpgradeManager:
    """Upgrades of the project; for admins also of others."""

    def __init__(self, api: Api, instances: InstanceManager, clock: Clock) -> None:
        self._api = api
        self._instances = instances
        self._clock = clock

    def list(
        self,
        filters: Filters | None = None,
        *,
        order: Order | None = None,
        limit: int | None = None,
        marker: str | None = None,
    ) -> Iterator[Upgrade]:
        """Yield upgrades, at most `limit`; `marker` is the last one of those seen before."""
        wanted, order = filters or Filters(), order or Order()
        query = wanted.query()
        if order != Order():
            query |= {'sort_key': str(order.key), 'sort_dir': str(order.direction)}
        if limit is not None and not wanted.may_be_left_out:
            query['limit'] = str(limit)
        if marker is not None:
            query['marker'] = marker
        if order != Order():
            self._require_newer(wanted, _ORDER)
        if len(wanted.states) > 1:
            self._require_newer(wanted, _STATES)
        found = self._api.pages(Upgrade, _UPGRADES, 'upgrades', _WHAT, query)
        return itertools.islice(filter(wanted.admits, _each_once(found)), limit)

    def of_instance(self, name_or_id: str, filters: Filters) -> Filters:
        """Return the filters with an instance: of the project the one that has the name now; where
        none has it, and in other projects, those that had it when their upgrade began.

        :raises NameAmbiguous: more than one instance of the project has the name.
        """
        if is_id(name_or_id):
            return dataclasses.replace(filters, instance_id=name_or_id.lower())
        if filters.is_of_own_project:
            with contextlib.suppress(exceptions.NameNotFound):
                found = self._instances.find(name_or_id)
                return dataclasses.replace(filters, instance_id=found.id)
        return dataclasses.replace(filters, instance_name=name_or_id)

    def require_instance(self, filters: Filters) -> None:
        """Refuse an instance that has no upgrade, and is none of those that can be asked about.

        :raises NameNotFound: the filters have such a one.
        """
        instance_id, name = filters.instance_id, filters.instance_name
        scope = dataclasses.replace(filters, states=(), target_version_id=None, since=None)
        if (instance_id or name) is None or next(self.list(scope, limit=1), None) is not None:
            return
        if instance_id is not None:
            if not self._is_one_without_upgrades(instance_id):
                kind = 'instance' if filters.all_projects else 'instance of this project'
                raise exceptions.NameNotFound(kind=kind, name=instance_id, advice=_ADVICE)
        elif all(each.name != name for each in self._instances.list()):
            raise exceptions.NameNotFound(kind='instance', name=name, advice=INSTANCE_ADVICE)

    def _is_one_without_upgrades(self, instance_id: str) -> bool:
        """Tell so; one that has upgrades, which no list of its project has, is of another one."""
        try:
            return self.newest_of(instance_id) is None
        except exceptions.RequestRefused as refused:
            if refused.status != 404:
                raise
            return False

    def _require_newer(self, wanted: Filters, what: str) -> None:
        """Refuse what a service of an earlier release would leave out of the query without a word.

        :raises ApiTooOld: it is of one, as its upgrades have no `hold`.
        """
        scope = Filters(project_id=wanted.project_id, all_projects=wanted.all_projects)
        query = {**scope.query(), 'limit': '1'}
        found = self._api.get(_UPGRADES, 'upgrades', _WHAT, query)
        newest = found[0] if isinstance(found, list) and found else None
        # there, and null, where the row has too much for a list
        if isinstance(newest, dict) and 'hold' not in newest:
            raise exceptions.ApiTooOld(what=what)

    def get(self, upgrade_id: str, *, seconds: float | None = None) -> Upgrade:
        """Return one upgrade with its steps, within these seconds."""
        return self._shown(self._api.get(_path(upgrade_id), 'upgrade', _WHAT, seconds=seconds))

    def newest_of(self, instance_id: str) -> Upgrade | None:
        """Return the newest upgrade of an instance; None: it never had one."""
        path = f'/instances/{quoted(instance_id)}/upgrades'
        found = self._api.pages(Upgrade, path, 'upgrades', _WHAT, {'limit': '1'})
        return next(found, None)

    def find(self, name_or_id: str) -> Upgrade:
        """Return the upgrade of an id, or the newest one of an instance, by its id or name; for
        admins of any project, where their own has none of that name.

        :raises NameNotFound: there is none.
        :raises NameAmbiguous: instances of the project, or of several ones, have this name.
        """
        if is_id(name_or_id):
            return self._of_id(name_or_id)
        newest = self._newest_of_name(name_or_id)
        if newest is None:
            raise exceptions.NameNotFound(kind='upgrade', name=name_or_id, advice=_ADVICE)
        return self.get(newest.id)

    def start(
        self, instance_id: str, datastore_version: str, options: Start | None = None
    ) -> Upgrade:
        """Ask for an upgrade; it is stored when this returns.

        :raises ApiTooOld: the service does not know the options.
        :raises UpgradeNotListed: one of an earlier release, which has only Trove's own request for
            an upgrade, has accepted it, and no upgrade of the service came of it.
        """
        asked = (options or Start()).body()
        body = {'instance_id': instance_id, 'datastore_version': datastore_version, **asked}
        try:
            return self._shown(self._api.post(_UPGRADES, 'upgrade', _OPTIONS, {'upgrade': body}))
        except exceptions.ApiTooOld:
            if asked:
                raise
        return self._start_as_before(instance_id, datastore_version)

    def _start_as_before(self, instance_id: str, datastore_version: str) -> Upgrade:
        """Start an upgrade by the request that Trove has, too: a service that has taken it over has
        the upgrade in its list, and one that hands it on to Trove has not.
        """
        former = self.newest_of(instance_id)
        instance = {'instance': {'datastore_version': datastore_version}}
        self._api.foreign('PATCH', f'/instances/{quoted(instance_id)}', body=instance)
        follower = Follower(self._clock, timeout_seconds=LAG_SECONDS)
        try:
            newest = follower.follow(
                lambda _: self.newest_of(instance_id), lambda seen: _id(seen) != _id(former)
            )
        except exceptions.WaitOver as over:
            raise exceptions.UpgradeNotListed(instance_id=instance_id) from over
        return self.get(_id(newest))

    def act(self, upgrade_id: str, action: ActionName) -> Upgrade:
        """Take an action; the same one again changes nothing more."""
        path = f'{_path(upgrade_id)}/action'
        return self._shown(self._api.post(path, 'upgrade', _ACTIONS, {str(action): {}}))

    def actions(self, upgrade_id: str) -> tuple[Action, ...]:
        """Return each action, and whether the caller can take it now."""
        found = self._api.get(f'{_path(upgrade_id)}/actions', 'actions', _ACTIONS)
        return tuple(read(Action, each) for each in found)

    def _of_id(self, text: str) -> Upgrade:
        try:
            return self.get(text)
        except exceptions.RequestRefused as refused:
            if refused.code != 'UPGRADE_NOT_FOUND':
                raise
            try:
                newest = self.newest_of(text)
            except exceptions.RequestRefused as other:
                if other.status != 404:
                    raise
                newest = self._newest_of_deleted(text)
            if newest is None:
                raise
        return self.get(newest.id)

    def _newest_of_deleted(self, instance_id: str) -> Upgrade | None:
        """Return the newest upgrade of an instance that was deleted, for admins of any project."""
        instance_id = instance_id.lower()
        found = next(self.list(Filters(instance_id=instance_id), limit=1), None)
        if found is not None:
            return found
        return next(self._everywhere(Filters(instance_id=instance_id, all_projects=True)), None)

    def _everywhere(self, filters: Filters) -> Iterator[Upgrade]:
        """Yield upgrades of all projects; none where the caller may not see them."""
        try:
            yield from self.list(filters)
        except exceptions.RequestRefused as refused:
            if refused.status != 403:
                raise

    def _newest_of_name(self, name: str) -> Upgrade | None:
        """Return the newest upgrade of an instance, of one that was deleted too.

        :raises NameNotFound, NameAmbiguous: no instance, or more than one, has this name.
        """
        try:
            return self.newest_of(self._instances.find(name).id)
        except exceptions.NameNotFound:
            newest = next(self.list(Filters(instance_name=name), limit=1), None)
        return self._newest_elsewhere(name) if newest is None else newest

    def _newest_elsewhere(self, name: str) -> Upgrade:
        found = tuple(self._everywhere(Filters(instance_name=name, all_projects=True)))
        if not found:
            kind = 'upgrade and no instance'
            raise exceptions.NameNotFound(kind=kind, name=name, advice=_ADVICE)
        ids = sorted({each.instance_id for each in found})
        if len(ids) > 1:
            raise exceptions.NameAmbiguous(kind='instance', name=name, ids=', '.join(ids))
        return found[0]

    @staticmethod
    def _shown(document: object) -> Upgrade:
        return read(Upgrade, document)


def _each_once(found: Iterable[Upgrade]) -> Iterator[Upgrade]:
    """Leave out an upgrade that was worked on between two pages, and has come once more."""
    seen: set[str] = set()
    for each in found:
        if each.id not in seen:
            seen.add(each.id)
            yield each


def _id(upgrade: Upgrade | None) -> str:
    return upgrade.id if upgrade is not None else ''


def _path(upgrade_id: str) -> str:
    return f'{_UPGRADES}/{quoted(upgrade_id)}'
