# SPDX-License-Identifier: Apache-2.0
"""Process that is all simulated guests of a fleet: their SSH servers and their agents.

    python -m trove_upgrade.tests.fleet.process --guests FILE --authorized-key FILE --trace FILE \
        --config-file FILE

It prints one line when all of them listen, and ends with SIGTERM.
"""

import argparse
import base64
import functools
import pathlib
import resource
import sys
import threading

import paramiko
from oslo_config import cfg

from trove_upgrade import conf as our_conf
from trove_upgrade import signals
from trove_upgrade.conf import start
from trove_upgrade.tests.fleet import guests
from trove_upgrade.tests.fleet.agents import Agents
from trove_upgrade.tests.fleet.guests import Fault, FleetGuest
from trove_upgrade.tests.fleet.old_guest import OldGuest
from trove_upgrade.tests.fleet.ssh_server import Host, SshServers, listening
from trove_upgrade.tests.fleet.trace import TraceWriter

READY = 'all guests listen'


def main() -> int:
    """Answer until a signal comes."""
    told = signals.told()
    parser = argparse.ArgumentParser()
    for name in ('guests', 'authorized-key', 'trace'):
        parser.add_argument(f'--{name}', type=pathlib.Path, required=True)
    parser.add_argument('--config-file', required=True)
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    agents = Agents.from_conf(_configuration(arguments.config_file))
    key = base64.b64decode(arguments.authorized_key.read_text().split()[1])
    servers = SshServers(key, TraceWriter(arguments.trace))
    for guest in guests.load(arguments.guests):
        if guest.fault is not Fault.SSHD_REFUSES:
            servers.add(_host(guest, agents), listening(guest.address, guest.namespace))
    ended = threading.Event()
    threads = [
        threading.Thread(target=servers.serve, args=(ended.is_set,)),
        threading.Thread(target=agents.speak, args=(ended,)),
    ]
    for thread in threads:
        thread.start()
    print(READY, flush=True)
    told.wait()
    ended.set()
    for thread in threads:
        thread.join()
    servers.close()
    return 0


def _host(guest: FleetGuest, agents: Agents) -> Host:
    end = functools.partial(agents.end, guest.instance_id)
    return Host(guest=OldGuest(guest, agents.start, end), host_key=paramiko.ECDSAKey.generate())


def _configuration(path: str) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    our_conf.register_opts(conf)
    start.read(conf, ['--config-file', path], program='trove-upgrade')
    return conf


if __name__ == '__main__':
    sys.exit(main())
