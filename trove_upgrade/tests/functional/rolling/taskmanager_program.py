# SPDX-License-Identifier: Apache-2.0
"""Program: a taskmanager of whichever release is first on the path, with stand-ins for Nova and
Glance.

    python taskmanager_program.py CONFIGURATION CLOUD

CLOUD is the directory in which `cloud.Cloud` keeps its servers.  Nothing of this folder is
imported: the code on the path may be another release's.
"""

import base64
import contextlib
import dataclasses
import fcntl
import json
import pathlib
import signal
import sys
import threading


class Nova:
    """Implements ports.Compute of both releases, on files."""

    def __init__(self, directory, domain):
        self._directory = directory
        self._compute, self._exceptions = domain

    @contextlib.contextmanager
    def _state(self, server_id):
        path = self._directory / f'{server_id}.json'
        with path.open('r+', encoding='utf-8') as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            state = json.load(file)
            before = json.dumps(state)
            yield state
            if json.dumps(state) != before:
                file.seek(0)
                file.truncate()
                json.dump(state, file)
                file.flush()

    def server(self, server_id):
        """With user data, which borealis expects, and this release does not look at here."""
        try:
            with self._state(server_id) as state:
                pass
        except FileNotFoundError:
            raise self._exceptions.ServerNotFound(server_id=server_id) from None
        return self._compute.Server(
            id=server_id,
            name='db',
            status=state['status'],
            task_state=None,
            image_id=state['image_id'],
            locked=False,
            metadata=state['metadata'],
            user_data=base64.b64decode(state['user_data']),
            fault=None,
            flavor_ram_mb=1024,
            flavor_disk_gb=4,
            host='compute-1',
        )

    server_with_user_data = server

    def flavor_id(self, server_id):
        self.server(server_id)
        return '6'

    def max_microversion(self):
        return 2, 93

    def describe(self, server_id):
        # Borealis has the former names.
        kind = getattr(self._compute, 'ServerDescription', None) or self._compute.ComputePicture
        return kind(
            server=self.server(server_id),
            compute_up=True,
            max_microversion=(2, 93),
            metadata_quota=128,
        )

    picture = describe

    def rebuild(self, server, image_id, marker, user_data, ends_at=None):
        with self._state(server.id) as state:
            if state['status'] != 'ACTIVE':
                raise self._exceptions.RebuildConflict(server_id=server.id, found=state['status'])
            state['status'] = 'REBUILD'
            state['image_id'] = image_id
            state['metadata'] = {**server.metadata, self._compute.MARKER_KEY: marker}
            if user_data is not None:
                state['user_data'] = base64.b64encode(user_data).decode()

    def rebuild_result(self, server):
        result = self._compute.RebuildResult
        return result.RUNNING if self.server(server.id).status == 'REBUILD' else result.SUCCESS


class Images:
    """Implements ports.Images: each image is there."""

    def __init__(self, compute):
        self._compute = compute

    def image(self, image_id):
        return self._compute.Image(
            id=image_id,
            name='an image',
            status='active',
            min_disk_gb=1,
            min_ram_mb=256,
            size_bytes=1 << 20,
        )

    def newest(self, tags):
        return self.image(tags[0])


def main(configuration, cloud):
    """As the program of the release does it, but for `wrap`."""
    from trove_upgrade.wsgi import threads

    threads.choose()
    from oslo_config import cfg
    from oslo_log import log

    from trove_upgrade import conf as our_conf
    from trove_upgrade.domain import compute, exceptions
    from trove_upgrade.taskmanager import service

    conf = cfg.CONF
    log.register_options(conf)
    our_conf.register_opts(conf)
    conf(args=['--config-file', configuration], project='trove-upgrade', prog=service.BINARY)
    log.setup(conf, 'trove-upgrade')
    nova = Nova(pathlib.Path(cloud), (compute, exceptions))

    def wrap(outside):
        more = {'changes': None} if hasattr(outside, 'changes') else {}  # earlier releases: none
        return dataclasses.replace(outside, nova=nova, images=Images(compute), **more)

    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        running = service.compose(conf, wrap)
        if hasattr(service, 'require_installation'):
            service.require_installation(conf)
    except exceptions.TroveUpgradeError as error:
        print(f'ERROR {error.code}: {error.message}', file=sys.stderr)
        return 1
    running.start()
    ended.wait()
    running.stop()
    return 0


if __name__ == '__main__':
    sys.exit(main(*sys.argv[1:]))
