# SPDX-License-Identifier: Apache-2.0
"""`trove-upgrade-taskmanager`: moves upgrades forward, one durable step at a time.

One process; run several of them, on several hosts, for more.  They share the rows by leases.
"""
import signal
import sys
import threading
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Work until SIGTERM or Ctrl-C."""
    from trove_upgrade.wsgi import threads

    threads.choose()  # before anything imports oslo.messaging: that would choose eventlet, for good
    from oslo_config import cfg
    from oslo_log import log

    from trove_upgrade import conf as our_conf
    from trove_upgrade.db import errors
    from trove_upgrade.domain import versions
    from trove_upgrade.taskmanager import service

    conf = cfg.CONF
    log.register_options(conf)
    our_conf.register_opts(conf)
    conf(args=list(argv) if argv is not None else None, project='trove-upgrade', prog=service.BINARY)
    log.setup(conf, 'trove-upgrade')
    try:
        running = service.compose(conf)
    except (errors.DatabaseRefused, versions.RulesError) as error:
        print(error, file=sys.stderr)
        return 1
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    running.start()
    ended.wait()
    running.stop()
    return 0


if __name__ == '__main__':
    sys.exit(main())
