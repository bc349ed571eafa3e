# SPDX-License-Identifier: Apache-2.0
"""Real Trove on the cloud, alone or with our filter in its API and our taskmanager beside it: where tests of the plug-in begin."""

from collections.abc import Mapping

from trove_upgrade.lab.cloud import Cloud
from trove_upgrade.lab.layout import Layout
from trove_upgrade.lab.product import TASKMANAGER, Product
from trove_upgrade.lab.progress import Progress
from trove_upgrade.lab.services import trove
from trove_upgrade.lab.stage import QUICK
from trove_upgrade.lab.supervisor import Supervisor
from trove_upgrade.lab.trove.side import TroveSide

OUR_QUEUE = 'trove-upgrade-taskmanager'
READY_SECONDS = 60.0
GUEST_TOPIC_PREFIX = 'trove-upgrade-guest.'
#: What the operator's page has in [trove_upgrade] of trove.conf.
BESIDE_TROVE: Mapping[str, object] = {'guest_topic_prefix': GUEST_TOPIC_PREFIX, 'write_service_status': False}
GUEST_OPTIONS: Mapping[str, object] = {'guest_topic_prefix': GUEST_TOPIC_PREFIX}


def start(layout: Layout, cloud: Cloud, progress: Progress, *, with_product: bool = False,
          options: Mapping[str, object] = QUICK) -> TroveSide:
    """Trove on a cloud that is up; `with_product` also our filter, tables and taskmanager.  Safe to repeat.

    `options` go into [trove_upgrade] of trove.conf.

    :raises LabError: something failed; the message names the log.
    """
    side = TroveSide.of(cloud)
    with progress.phase('Starting Trove'):
        if with_product:
            side.start(options={**BESIDE_TROVE, **options}, guest_options=GUEST_OPTIONS)
        else:
            side.start()
    if with_product:
        with progress.phase('Adding trove-upgrade to it'):
            add_product(layout, side, cloud)
    return side


def product(layout: Layout, side: TroveSide, cloud: Cloud) -> Product:
    """Our services beside Trove: they read trove.conf."""
    return Product(layout, cloud.handle(), Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir), config_file=side.conf_path)


def add_product(layout: Layout, side: TroveSide, cloud: Cloud) -> Product:
    """What an operator does on a running Trove: tables, our taskmanager, then the filter, in this order."""
    ours = product(layout, side, cloud)
    ours.manage('db', 'sync')
    supervisor = Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir)
    if not supervisor.runs(TASKMANAGER):
        ours.start_taskmanager()
    supervisor.wait_ready(TASKMANAGER, lambda: trove.consumes(side.settings, OUR_QUEUE), READY_SECONDS)
    if not side.deployment.with_filter:
        side.restart_api(with_filter=True)
    return ours
