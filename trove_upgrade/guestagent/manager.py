# SPDX-License-Identifier: Apache-2.0
"""The RPC endpoint: 1.2, which is 1.1 in envelopes; 1.1; and the specification's two methods of 1.0
under the same names.
"""

import datetime
import functools
import re
import uuid
from collections.abc import Callable, Mapping
from typing import Any

import oslo_messaging

from trove_upgrade.domain import exceptions, guest_call, guests, logs, origin, upgrade_info
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guest_results import Quiesced
from trove_upgrade.domain.guests import Method
from trove_upgrade.domain.target_facts import TargetFacts
from trove_upgrade.guestagent.jobs.job import Jobs
from trove_upgrade.guestagent.jobs.journal import JobRecord, Journal
from trove_upgrade.guestagent.sealing.seal import Seal
from trove_upgrade.guestagent.upgrade import generations
from trove_upgrade.guestagent.upgrade.marks import Mark
from trove_upgrade.guestagent.upgrade.work import Guest
from trove_upgrade.sealing import messages

LOG = logs.get_logger(__name__)

_SPECIFICATION_HOURS = 2
_SPECIFICATION_ID = re.compile(r'spec-[0-9a-f]{32}')


class CallFailed(exceptions.TroveUpgradeError):
    """Error for a caller of RPC 1.0, which has no other way to hear of it."""

    template = '{message}'

    def __init__(self, message: str, code: str) -> None:
        super().__init__(message=message)
        self.code = code


def server_state(own: Guest) -> tuple[str | None, guests.ServerState]:
    """Return what the server says, asked once; running if it answers, stopped if nothing holds the
    volume either.
    """
    version = own.driver.server_version()
    if version is not None:
        return version, guests.ServerState.RUNNING
    return None, guests.ServerState.UNKNOWN if own.volume.holders() else guests.ServerState.STOPPED


Endpoint = Callable[..., Any]


def _of_request(endpoint: Endpoint) -> Endpoint:
    """Let the lines of a call, and of the job that it begins, carry the id of the request that its
    sender names: a word for the log alone.
    """

    @functools.wraps(endpoint)
    def logged(self: 'GuestManager', context: object, /, **arguments: Any) -> Any:
        with logs.of_request(getattr(context, 'request_id', None)):
            return endpoint(self, context, **arguments)

    return logged


class GuestManager:
    """Endpoint for RPC 1.0, 1.1 and 1.2.

    Version history; a line is never edited once it has been released:

    * 1.0 - pre_upgrade(), post_upgrade(upgrade_info): return when they are done, raise when they
      fail
    * 1.1 - check_upgrade, pre_upgrade, abort_upgrade, post_upgrade, verify_upgrade, finish_upgrade
      with the fields of a GuestCall; each answers a GuestAnswer within seconds and never raises
    * 1.2 - sealed(envelope): a request for one of the methods of 1.1, or for greet, which does
      nothing; the answer is in an envelope, too. A guest whose key may be in use takes nothing of
      1.0 and 1.1
    """

    target = oslo_messaging.Target(version='1.2')

    def __init__(
        self,
        own: Guest,
        jobs: Jobs,
        journal: Journal,
        seal: Seal,
        join_seconds: float,
        wake: Callable[[], None] = lambda: None,
    ) -> None:
        """`wake` is called when something has begun that heartbeats should tell of."""
        self._guest = own
        self._jobs = jobs
        self._journal = journal
        self._seal = seal
        self._join_seconds = join_seconds
        self._wake = wake

    @_of_request
    def check_upgrade(self, _context: object, /, **arguments: Any) -> dict[str, Any]:
        """Run all checks; nothing is changed."""
        return self._unsealed(Method.CHECK_UPGRADE, arguments)

    @_of_request
    def pre_upgrade(self, _context: object, /, **arguments: Any) -> dict[str, Any]:
        """Check, fingerprint, stop, stash, unmount.  Without arguments it is RPC 1.0: the
        upgrade_info, or an error.
        """
        if not arguments:
            self._seal.require_unsealed_allowed()
            result = self._specification(Method.PRE_UPGRADE, self._specification_id(), {})
            return dict(Quiesced.from_wire(result).upgrade_info)
        return self._unsealed(Method.PRE_UPGRADE, arguments)

    @_of_request
    def abort_upgrade(self, _context: object, /, **arguments: Any) -> dict[str, Any]:
        """Undo pre_upgrade: the former server serves again."""
        return self._unsealed(Method.ABORT_UPGRADE, arguments)

    @_of_request
    def post_upgrade(self, _context: object, /, **arguments: Any) -> dict[str, Any] | None:
        """Restore, upgrade the data, compare, open.  With upgrade_info alone it is RPC 1.0."""
        if arguments.keys() == {'upgrade_info'}:
            self._seal.require_unsealed_allowed()
            info = _read_info(arguments['upgrade_info'])
            self._specification(Method.POST_UPGRADE, info.upgrade_id, info.to_wire())
            return None
        return self._unsealed(Method.POST_UPGRADE, arguments)

    @_of_request
    def verify_upgrade(self, _context: object, /, **arguments: Any) -> dict[str, Any]:
        """Check the server's version, that it takes a write, and that it starts at the next
        boot.
        """
        return self._unsealed(Method.VERIFY_UPGRADE, arguments)

    @_of_request
    def finish_upgrade(self, _context: object, /, **arguments: Any) -> dict[str, Any]:
        """The stash may go after its hours."""
        return self._unsealed(Method.FINISH_UPGRADE, arguments)

    @_of_request
    def sealed(self, _context: object, /, **arguments: Any) -> dict[str, str]:
        """Carry out a sealed request, once; its answer is sealed, whatever comes of it.

        :raises NotSealed: it is not authentic, and nothing was done.
        """
        opened = self._seal.open(arguments)
        refused = content = None
        try:
            refused = self._seal.take(opened)
            if refused is None:
                content = self._carry_out(opened.request)
        except exceptions.StepFailed as error:
            LOG.warning('A sealed request was not begun: %s', error.message)
            content = self._failed(error.message, error.code, '')
        return self._seal.answer(opened, refused, content)

    def _carry_out(self, request: messages.Request) -> dict[str, Any]:
        if request.method == messages.GREET:
            return {}
        if request.method in set(Method):
            return self._answer(Method(request.method), request.arguments)
        raise exceptions.StepFailed(
            'The guest agent has no such method. Look which release the taskmanager has.',
            'GUEST_METHOD_UNKNOWN',
        )

    def _unsealed(self, method: Method, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Answer a call of RPC 1.1.

        :raises GuestSealed: this guest takes none.
        """
        self._seal.require_unsealed_allowed()
        return self._answer(method, arguments)

    def _answer(self, method: Method, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The endpoint's edge: whatever happens is an answer."""
        try:
            record = self._ask(method, _read(arguments), self._join_seconds)
            return self._as_answer(record).to_wire()
        except exceptions.TroveUpgradeError as error:
            LOG.warning('%s was not begun: %s', method, error.message)
            return self._failed(error.message, error.code, _upgrade_id(arguments))
        except Exception as error:
            LOG.exception('%s failed', method)
            return self._failed(
                origin.unexpected(f'{method} failed', error, 'the log of the guest agent'),
                Code.INTERNAL_ERROR,
                _upgrade_id(arguments),
            )

    def _ask(self, method: Method, call: guests.GuestCall, wait_seconds: float) -> JobRecord:
        if call.instance_id != self._guest.instance_id:
            raise exceptions.StepFailed(
                f'{method} is for instance {call.instance_id}, and this guest is '
                f'{self._guest.instance_id}. Look at the topics of the guests.',
                'WRONG_GUEST',
            )
        generations.require(self._guest, call)
        self._wake()
        return self._jobs.ask(method, call, wait_seconds)

    def _as_answer(self, record: JobRecord) -> guests.GuestAnswer:
        own, (upgrade_id, _, method) = self._guest, record.key
        message, code, job_state = record.message, record.code, record.state
        # Not while a job works on it: a server on its way up or down takes a connection and says
        # nothing, longer than the caller waits.
        version, state = server_state(own) if record.ended else (None, guests.ServerState.UNKNOWN)
        if (
            method == Method.PRE_UPGRADE
            and job_state is guests.JobState.DONE
            and not own.marks.has(Mark.QUIESCED, upgrade_id)
        ):
            job_state, code = guests.JobState.FAILED, 'QUIESCE_LOST'
            message = (
                f'Upgrade {upgrade_id} was quiesced, and this has been undone since. Begin a '
                'new attempt.'
            )
        return guests.GuestAnswer(
            state=job_state,
            message=message,
            boot_id=own.boot_id(),
            server_state=state,
            agent_version=own.agent_version,
            server_version=version,
            percent=record.percent,
            code=code,
            serving=version is not None and not own.isolated(),
            server_started_on_data=own.server_started_for_certain(upgrade_id),
            result=record.result,
        )

    def _failed(self, message: str, code: str, upgrade_id: str) -> dict[str, Any]:
        """Says only what cannot fail."""
        return guests.GuestAnswer(
            state=guests.JobState.FAILED,
            message=message,
            boot_id=self._guest.boot_id(),
            server_state=guests.ServerState.UNKNOWN,
            agent_version=self._guest.agent_version,
            code=code,
            server_started_on_data=self._guest.server_started(upgrade_id) or None,
        ).to_wire()

    def _specification_id(self) -> str:
        """RPC 1.0 has no id: one that runs, or has stopped the database and waits for the rebuild,
        is joined; else it is a new one.
        """
        for record in reversed(self._journal.all()):
            upgrade_id, _, method = record.key
            if (
                method == Method.PRE_UPGRADE
                and _SPECIFICATION_ID.fullmatch(upgrade_id)
                and (not record.ended or self._guest.marks.has(Mark.QUIESCED, upgrade_id))
            ):
                return upgrade_id
        return f'spec-{uuid.uuid4().hex}'

    def _specification(
        self, method: Method, upgrade_id: str, info: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Wait until it is done.

        :raises CallFailed: it was refused or has failed.
        """
        deadline = self._guest.clock.now() + datetime.timedelta(hours=_SPECIFICATION_HOURS)
        call = guests.GuestCall(
            instance_id=self._guest.instance_id,
            upgrade_id=upgrade_id,
            attempt=1,
            generation=1,
            deadline=deadline,
            target=TargetFacts(),
            upgrade_info=info,
        )
        record = self._ask(method, _read(call.to_wire()), _SPECIFICATION_HOURS * 3600)
        if record.state is not guests.JobState.DONE:
            raise CallFailed(record.message, record.code or 'NOT_DONE')
        return record.result


def _read(arguments: Mapping[str, Any]) -> guests.GuestCall:
    """Parse a call's arguments.

    :raises StepFailed: CALL_INVALID; an argument is missing, is of another type, or is none of a
    call's.
    """
    try:
        return guest_call.read(arguments)
    except guest_call.Invalid as error:
        raise exceptions.StepFailed(
            f'The call cannot be read: {error}. Look which version the taskmanager has.',
            'CALL_INVALID',
        ) from None


def _read_info(wire: Any) -> upgrade_info.UpgradeInfo:
    """Parse the facts that quiesce returned.

    :raises StepFailed: UPGRADE_INFO_INVALID; no job was begun.
    """
    try:
        return upgrade_info.UpgradeInfo.from_wire(wire)
    except upgrade_info.Invalid as error:
        raise upgrade_info.not_returned(str(error)) from None


def _upgrade_id(arguments: Mapping[str, Any]) -> str:
    """Return the id of a call that could not be read; it becomes a part of file names, so '' for
    what is none.
    """
    found = arguments.get('upgrade_id')
    return str(found) if upgrade_info.is_id(found) else ''
