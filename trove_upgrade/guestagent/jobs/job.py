# SPDX-License-Identifier: Apache-2.0
"""Jobs: the first call starts one, later calls join it, and an agent that comes back goes on.

One at a time: all of them work on the same database.
"""

import contextvars
import dataclasses
import datetime
import functools
import threading
from collections.abc import Callable, Mapping

from trove_upgrade.domain import exceptions, guests, logs, origin, ports
from trove_upgrade.domain.codes import Code
from trove_upgrade.domain.guests import Method
from trove_upgrade.guestagent.jobs.journal import JobRecord, Journal
from trove_upgrade.guestagent.machine.progress import Progress
from trove_upgrade.guestagent.upgrade import generations
from trove_upgrade.guestagent.upgrade.work import JobOutcome

LOG = logs.get_logger(__name__)

#: What a job does.  It may be run again after an agent's death, from any point.
Body = Callable[[guests.GuestCall, Progress], JobOutcome]

_LONG_SECONDS = 3600.0
_ABORTED = 'UPGRADE_ABORTED'


class _Running:
    """The job that has the thread now."""

    def __init__(self, record: JobRecord, call: guests.GuestCall, until: float) -> None:
        self.record = record
        self.until = until  # by the monotonic clock
        self.call = call
        self.ended = threading.Event()
        self.cancelled = threading.Event()


class Jobs:
    """Starts, joins and resumes jobs."""

    def __init__(
        self,
        journal: Journal,
        bodies: Mapping[str, Body],
        clock: ports.Clock,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_change` is told of each start and end, in whichever thread that happens."""
        self._journal = journal
        self._bodies = bodies
        self._clock = clock
        self._on_change = on_change
        self._lock = threading.Lock()
        self._running: _Running | None = None

    def busy(self) -> bool:
        """Return whether a job runs."""
        return self._running is not None

    def ask(self, method: str, call: guests.GuestCall, wait_seconds: float) -> JobRecord:
        """Start the job or join it, for `wait_seconds` at most.

        While another job runs, the answer is RUNNING and nothing was started: ask again.  An abort
        ends its own pre_upgrade; the checks of another upgrade end those that bring an image.
        """
        deadline = self._clock.monotonic() + wait_seconds
        while True:
            with self._lock:
                record, running = self._find(method, call)
            if record.ended or running is None:
                return record
            running.ended.wait(max(0.0, deadline - self._clock.monotonic()))
            if not running.ended.is_set():
                return record if running.record.key != record.key else running.record
            if running.record.key == record.key:
                return running.record

    def _find(self, method: str, call: guests.GuestCall) -> tuple[JobRecord, _Running | None]:
        """The lock is held.  The job's record, and what to wait for."""
        key = (call.upgrade_id, call.attempt, method)
        running = self._running
        if running is not None and running.record.key == key:
            running.until = self._until(call)
            return running.record, running
        record = self._journal.read(key)
        if (
            record is not None
            and record.code == generations.CODE
            and call.generation > int(record.call['generation'])
        ):
            record = None  # that answer was for the one who had lost its claim
        if record is not None and method == Method.CHECK_UPGRADE and record.code == _ABORTED:
            record = None  # a late call of another upgrade ended it; nothing was changed
        if record is not None and record.ended:
            return record, None
        if method == Method.ABORT_UPGRADE:
            self._overrule(call)
        if running is not None:
            if _ends(method, call, running):
                running.cancelled.set()
            return self._record(
                method,
                call,
                f'Waiting for {running.record.method} of upgrade '
                f'{running.record.call["upgrade_id"]}.',
            ), running
        return self._start(record or self._record(method, call, 'Begun.'), call)

    def _record(self, method: str, call: guests.GuestCall, message: str) -> JobRecord:
        return JobRecord(
            method=method,
            call=call.to_wire(),
            state=guests.JobState.RUNNING,
            message=message,
            started_at=self._clock.now().isoformat(),
            request_id=logs.request_id(),
        )

    def _start(self, record: JobRecord, call: guests.GuestCall) -> tuple[JobRecord, _Running]:
        self._journal.write(record)
        running = self._running = _Running(record, call, self._until(call))
        LOG.info('Upgrade %s: %s begun, attempt %d', call.upgrade_id, record.method, call.attempt)
        threading.Thread(
            target=contextvars.copy_context().run,  # its lines carry the request of this call
            args=(self._run, running),
            name=f'job-{record.method}',
            daemon=True,
        ).start()
        return record, running

    def _until(self, call: guests.GuestCall) -> float:
        """Return when the job gives up, by the monotonic clock: the newest call tells, and the
        guest's time of day may be anything.
        """
        return self._clock.monotonic() + call.seconds_from(self._clock.now())

    def _overrule(self, call: guests.GuestCall) -> None:
        """A pre_upgrade of this attempt that arrives after its abort must not stop the database
        again.

        Unless it runs just now: then its own end is the truth, and it is told to come to it.
        """
        key = (call.upgrade_id, call.attempt, Method.PRE_UPGRADE)
        if self._running is not None and self._running.record.key == key:
            return
        now = self._clock.now().isoformat()
        self._journal.write(
            JobRecord(
                method=Method.PRE_UPGRADE,
                call=call.to_wire(),
                state=guests.JobState.REFUSED,
                message=f'Attempt {call.attempt} of upgrade {call.upgrade_id} was '
                f'aborted. Begin a new attempt.',
                started_at=now,
                ended_at=now,
                code=_ABORTED,
            )
        )

    def resume(self) -> None:
        """Go on with what the agent's death has interrupted, and return when that has ended.  Calls
        may come meanwhile.
        """
        self._journal.prune()
        for record in [record for record in self._journal.all() if not record.ended]:
            with logs.of_request(record.request_id):
                self._run_again(record)

    def _run_again(self, record: JobRecord) -> None:
        call = self._as_late(record)
        LOG.warning(
            'Upgrade %s: %s was interrupted and is run again', call.upgrade_id, record.method
        )
        while not self.ask(record.method, call, _LONG_SECONDS).ended:
            pass

    def _as_late(self, record: JobRecord) -> guests.GuestCall:
        """Return the call of an interrupted job, with what is left of its seconds.

        A pre_upgrade past its time must not stop the database once more; the guest's time of
        day is all that tells, and one that was set back tells nothing.  What serves no client yet
        goes on in any case.
        """
        call = guests.GuestCall.from_wire(record.call)
        if record.method != Method.PRE_UPGRADE or call.seconds is None:
            return call
        begun = datetime.datetime.fromisoformat(record.started_at)
        passed = (self._clock.now() - begun).total_seconds()
        left = call.seconds - passed if passed >= 0 else 0
        return dataclasses.replace(call, seconds=guests.whole_seconds(left))

    def _run(self, running: _Running) -> None:
        """The thread's edge: whatever happens ends in the journal."""
        started = running.record
        try:
            ended = self._done(started, running)
        except exceptions.StepRefused as error:
            ended = dataclasses.replace(
                started, state=guests.JobState.REFUSED, message=error.message, code=error.code
            )
            LOG.info(
                'Upgrade %s: %s refused: %s',
                running.call.upgrade_id,
                started.method,
                error.message,
                exc_info=_cause(error),
            )
        except exceptions.TroveUpgradeError as error:
            ended = dataclasses.replace(
                started, state=guests.JobState.FAILED, message=error.message, code=error.code
            )
            LOG.error(  # noqa: TRY400 - the message says it
                'Upgrade %s: %s failed: %s',
                running.call.upgrade_id,
                started.method,
                error.message,
                exc_info=_cause(error),
            )
        except Exception as error:
            LOG.exception('Upgrade %s: %s failed', running.call.upgrade_id, started.method)
            ended = dataclasses.replace(
                started,
                state=guests.JobState.FAILED,
                code=Code.INTERNAL_ERROR,
                message=origin.unexpected(
                    f'{started.method} failed', error, 'the log of the guest agent'
                ),
            )
        self._end(running, dataclasses.replace(ended, ended_at=self._clock.now().isoformat()))

    def _done(self, started: JobRecord, running: _Running) -> JobRecord:
        """Run the body to its end."""
        outcome = self._bodies[started.method](
            running.call, functools.partial(self._progress, running)
        )
        return dataclasses.replace(
            started,
            state=guests.JobState.DONE,
            message=outcome.message,
            percent=100,
            result=outcome.result,
        )

    def _progress(self, running: _Running, percent: int | None, message: str) -> None:
        """The body's report.  It ends the body that was aborted meanwhile, or is late."""
        if percent is not None and percent != running.record.percent:
            LOG.info(
                'Upgrade %s: %s %d %%: %s',
                running.call.upgrade_id,
                running.record.method,
                percent,
                message,
            )
        running.record = dataclasses.replace(running.record, percent=percent, message=message)
        if running.cancelled.is_set():
            raise exceptions.StepRefused(
                f'Upgrade {running.call.upgrade_id} was aborted meanwhile.',
                _ABORTED,
            )
        if self._clock.monotonic() >= running.until:
            raise exceptions.StepFailed(
                f'The guest gives up: {message} The time that the taskmanager gave it has '
                'passed. Try again with more time.',
                'DEADLINE_PASSED',
            )

    def _end(self, running: _Running, ended: JobRecord) -> None:
        try:
            self._journal.write(ended)
        except OSError:
            # Answered from memory now; after a restart the job is run again, which it can bear.
            LOG.exception('The journal cannot be written')
        with self._lock:
            running.record = ended
            self._running = None
        LOG.info('Upgrade %s: %s is %s', running.call.upgrade_id, ended.method, ended.state)
        self._on_change()
        running.ended.set()


def _ends(method: str, call: guests.GuestCall, running: _Running) -> bool:
    """Return whether a call ends the job that runs: an abort its own pre_upgrade; and the checks
    that begin another upgrade those of one before, which bring an image and may take an hour.

    An instance has one upgrade: the other one was given up, and no taskmanager told the guest.  An
    upgrade check is none; its calls have no generation.
    """
    is_same = running.record.call['upgrade_id'] == call.upgrade_id
    match method, running.record.method:
        case Method.ABORT_UPGRADE, Method.PRE_UPGRADE:
            return is_same
        case Method.CHECK_UPGRADE, Method.CHECK_UPGRADE:
            return not is_same and call.generation > 0 and running.call.options.bring_image
    return False


def _cause(error: exceptions.TroveUpgradeError) -> BaseException | None:
    """Worth a traceback only if an unexpected error is behind it."""
    return None if isinstance(error.__cause__, exceptions.TroveUpgradeError) else error.__cause__
