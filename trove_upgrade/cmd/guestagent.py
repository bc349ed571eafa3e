# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-guestagent`: the guest's part of an upgrade, as the taskmanager asks for it."""

import fcntl
import logging
import os
import pathlib
import sys
import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NoReturn, TextIO

from trove_upgrade.domain import exceptions

if TYPE_CHECKING:  # `main` imports each when it is due
    from oslo_config import cfg

    from trove_upgrade import signals
    from trove_upgrade.guestagent import agent
    from trove_upgrade.guestagent.storage.layout import Layout

#: A thread that computes keeps the others from Python for this long: 0.5 ms, where Python's own 5
#: would slow the thousands of turns in which an image is given to the container engine.
#: Source: `sys.setswitchinterval` of Python's documentation.
_SWITCH_SECONDS = 0.0005


def _keep_out_eventlet() -> None:
    """Have an import of it fail in every module: one that is there is taken."""
    sys.modules.setdefault('eventlet', None)  # type: ignore[arg-type]


def _choose_threads() -> None:
    """Choose native threads before any module imports oslo.messaging, which would choose eventlet
    for good. Source: oslo.service's documentation.
    """
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)


class LockRefused(exceptions.TroveUpgradeError):
    """The lock that keeps a second agent away cannot be had."""

    code = 'GUEST_AGENT_LOCK_REFUSED'
    template = 'The guest agent cannot start: {found}. {advice}.'


def _only_agent(directory: pathlib.Path) -> TextIO:
    """Lock out a second agent for as long as the file is open: two would start one job twice.

    :raises LockRefused: another agent holds it, or the file cannot be written.
    """
    path = directory / 'guestagent.lock'
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = path.open('w', encoding='ascii')
    except OSError as error:
        raise LockRefused(
            found=f'its lock {path} cannot be written ({error.strerror})',
            advice=f'Start it as root, as its unit does, and let {directory} be a directory that '
            'can be written',
        ) from error
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise LockRefused(
            found=f'another one runs in this guest already and holds {path} ({error.strerror})',
            advice='Stop that one first',
        ) from error
    return lock


def _register(conf: 'cfg.ConfigOpts') -> None:
    """Register the options of logs, ours, and those of the guest's identity."""
    from oslo_log import log

    from trove_upgrade import conf as our_conf
    from trove_upgrade.conf import guestagent as guestagent_conf

    log.register_options(conf)
    our_conf.register_opts(conf)
    conf.register_opts(guestagent_conf.IDENTITY_OPTS)


def _refusal(error: Exception) -> str:
    """Return what the agent cannot start with, in one line with a code."""
    from trove_upgrade.conf import fault

    known = (
        error
        if isinstance(error, exceptions.TroveUpgradeError)
        else fault.ConfigurationInvalid(found=fault.describe(error))
    )
    return f'ERROR {known.code}: {known.message}'


def _start(running: 'agent.Agent', told: 'signals.Told') -> threading.Event:
    """Start the agent in a thread: it waits for the broker, and a signal must end the agent
    meanwhile, too.  Return what is set once it cannot serve.
    """
    from oslo_service import systemd

    from trove_upgrade.domain import logs

    failed = threading.Event()

    def serve() -> None:
        """The thread's edge: an agent that cannot serve ends, and its service starts it again."""
        try:
            running.start()
        except Exception:  # noqa: BLE001 - it is logged, and ends the agent
            logs.get_logger(__name__).exception('The agent cannot serve')
            failed.set()
            told.end()

    threading.Thread(target=serve, name='start', daemon=True).start()
    systemd.notify_once()
    return failed


def _composed(conf: 'cfg.ConfigOpts', layout: 'Layout') -> 'agent.Agent':
    """Compose the agent, with its head start under way already: the database of a guest that was
    rebuilt is down.

    :raises NotAGuest: the configuration does not say which guest this is.
    """
    from trove_upgrade.guestagent.upgrade import composition, head_start

    own = composition.guest(conf, layout)
    head_start.begin(own)
    _choose_threads()
    from trove_upgrade.guestagent import agent

    return agent.compose(conf, own)


def _end(code: int) -> NoReturn:
    """End at once, with whatever the threads do: a head start, and a job that runs."""
    logging.shutdown()
    os._exit(code)


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Serve until SIGTERM or Ctrl-C, and then end at once: a job that runs goes on at the next
    start, as after a power cut.

    Waiting for oslo.messaging to end politely would take as long as its poll, up to 5 s for each
    server (18.3.1, ACK_REQUEUE_EVERY_SECONDS_MAX): a guest that Nova shuts down for its rebuild
    serves no client meanwhile.
    """
    _keep_out_eventlet()
    sys.setswitchinterval(_SWITCH_SECONDS)
    from oslo_config import cfg

    from trove_upgrade import signals
    from trove_upgrade.conf import start
    from trove_upgrade.domain import logs
    from trove_upgrade.guestagent.storage.layout import Layout

    conf = cfg.CONF
    _register(conf)
    layout = Layout()
    try:
        start.read(conf, argv, program='trove-upgrade-guestagent')
        start.open_log(conf)
        # not sooner: until here a signal ends even the reading of a pipe that nothing comes out of
        told = signals.told()
        lock = _only_agent(layout.run)
        running = _composed(conf, layout)
    except (exceptions.TroveUpgradeError, cfg.Error) as error:
        print(_refusal(error), file=sys.stderr, flush=True)
        _end(1)
    failed = _start(running, told)
    told.wait()
    logs.get_logger(__name__).info('The agent ends')
    lock.close()
    _end(1 if failed.is_set() else 0)
