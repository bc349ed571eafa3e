# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-guestagent`: the guest's part of an upgrade, as the taskmanager asks for it."""
import fcntl
import logging
import os
import pathlib
import sys
import threading
from collections.abc import Sequence
from typing import TextIO


def _choose_threads() -> None:
    """Before anything imports oslo.messaging: that would choose eventlet, for good.  Source: oslo.service's documentation."""
    sys.modules.setdefault('eventlet', None)  # type: ignore[arg-type]  # None: an import of it fails, whoever tries
    from oslo_service import backend
    backend.init_backend(backend.BackendType.THREADING)


def _only_agent(directory: pathlib.Path) -> TextIO:
    """Held as long as the file is open: two agents would start one job twice.

    :raises BlockingIOError: another agent holds it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    lock = (directory / 'guestagent.lock').open('w', encoding='ascii')
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return lock


def main(argv: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or Ctrl-C, and then end at once: a job that runs goes on at the next start, as after a power cut.

    Waiting for oslo.messaging to end politely would take as long as its poll, up to 5 s for each server (18.3.1,
    ACK_REQUEUE_EVERY_SECONDS_MAX): a guest that Nova shuts down for its rebuild serves nobody meanwhile.
    """
    _choose_threads()
    from oslo_config import cfg
    from oslo_log import log

    from trove_upgrade import conf as our_conf
    from trove_upgrade import signals
    from trove_upgrade.conf import guestagent as guestagent_conf
    from trove_upgrade.domain import logs
    from trove_upgrade.guestagent import agent
    from trove_upgrade.guestagent.layout import Layout

    conf = cfg.CONF
    log.register_options(conf)
    our_conf.register_opts(conf)
    conf.register_opts(guestagent_conf.IDENTITY_OPTS)
    conf(args=list(argv) if argv is not None else None, project='trove-upgrade', prog='trove-upgrade-guestagent')
    log.setup(conf, 'trove-upgrade')
    told, failed = signals.told(), threading.Event()
    layout = Layout()
    try:
        lock = _only_agent(layout.run)
    except BlockingIOError:
        print('The guest agent cannot start: another one runs in this guest already. Stop that one first.', file=sys.stderr)
        return 1
    try:
        running = agent.compose(conf, layout)
    except agent.NotAGuest as error:
        print(error.message, file=sys.stderr)
        return 1

    def start() -> None:
        """The thread's edge: an agent that cannot serve ends, and its service starts it again."""
        try:
            running.start()
        except Exception:  # noqa: BLE001 - it is logged, and ends the agent
            logs.get_logger(__name__).exception('The agent cannot serve')
            failed.set()
            told.end()

    # In a thread: it waits for the broker, and a signal must end the agent meanwhile, too.
    threading.Thread(target=start, name='start', daemon=True).start()
    told.wait()
    logs.get_logger(__name__).info('The agent ends')
    logging.shutdown()
    lock.close()
    os._exit(1 if failed.is_set() else 0)
