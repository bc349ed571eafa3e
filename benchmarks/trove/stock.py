# SPDX-License-Identifier: Apache-2.0
"""A second API of the same Trove, with the pipeline as Trove ships it: what is measured against the
one with our filter in turns.

The same programs, options, database and broker; only api-paste.ini and the port differ.
"""

import contextlib
import dataclasses
import re
import socket
from collections.abc import Iterator

from lab.services import openstack, trove
from lab.settings import HOST
from lab.supervisor import Supervisor
from lab.trove.stage import TroveStage

NAME = 'trove-api-stock'
READY_SECONDS = 120.0


@contextlib.contextmanager
def stock_api(stage: TroveStage) -> Iterator[str]:
    """Its address, without version or project, for as long as the context lasts."""
    settings, ours = stage.side.settings, stage.side.conf_path
    port = _free_port()
    conf, paste = ours.with_name('trove-stock.conf'), ours.with_name('api-paste-stock.ini')
    paste.write_text((settings.venv.path / 'etc/trove/api-paste.ini').read_text())
    text = re.sub(r'(?m)^api_paste_config\s*=.*$', f'api_paste_config = {paste}', ours.read_text())
    conf.touch(mode=0o600)
    conf.write_text(re.sub(r'(?m)^bind_port\s*=.*$', f'bind_port = {port}', text))
    command = trove.api_process(settings, dataclasses.replace(stage.side.deployment, port=port))
    supervisor = Supervisor(
        settings.layout.run_dir, settings.layout.pids_dir, settings.layout.logs_dir
    )
    supervisor.start(
        dataclasses.replace(
            command,
            name=NAME,
            argv=tuple(part.replace(str(ours), str(conf)) for part in command.argv),
        )
    )
    try:
        supervisor.wait_ready(NAME, lambda: openstack.answers(settings.url(port)), READY_SECONDS)
        yield settings.url(port)
    finally:
        supervisor.stop((NAME,))
        conf.unlink()
        paste.unlink()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])
