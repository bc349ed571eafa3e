# SPDX-License-Identifier: Apache-2.0
"""Who answers at the catalog's address of the one cloud: we alone, or real Trove with us in its
pipeline.  Either by turns, never both.
"""

from lab import stage
from lab.cloud import Cloud
from lab.product import TASKMANAGER
from lab.progress import Progress
from lab.supervisor import Supervisor
from lab.trove import stage as trove_stage
from lab.trove.side import TroveSide

#: Beside the tables that we have alone on this cloud.
DATABASE = 'trove_beside'
_MARK = 'who-serves'
_ALONE, _BESIDE = 'alone', 'beside trove'


def alone(layout):
    """We alone; as `up --product` has left it, nothing is to be done.

    :raises FileNotFoundError: the cloud was not brought up for that.
    """
    found = stage.load_stage(layout)
    if _now(layout) == _BESIDE:
        TroveSide.of(Cloud(layout)).stop()
        _stop_taskmanager(layout)
        found.product.start(stage.QUICK)
    _remember(layout, _ALONE)
    return found


def beside_trove(layout):
    """Real Trove, our filter in its API, our taskmanager on its tables."""
    cloud = Cloud(layout)
    if _now(layout) == _BESIDE and TroveSide.of(cloud).api.running:
        return trove_stage.load(layout)
    if _now(layout) is None and _record_of_trove(layout).exists():  # brought up with --trove
        found = trove_stage.start(layout, cloud, Progress(), with_product=True)
    else:
        stage.load_stage(layout).product.stop()
        if not _record_of_trove(
            layout
        ).exists():  # the first turn; later ones find what Trove has kept
            cloud.create_database(DATABASE)
        found = trove_stage.start(layout, cloud, Progress(), with_product=True, database=DATABASE)
    _remember(layout, _BESIDE)
    return found


def _record_of_trove(layout):
    return layout.run_dir / 'trove-stage.json'


def _stop_taskmanager(layout):
    Supervisor(layout.run_dir, layout.pids_dir, layout.logs_dir).stop((TASKMANAGER,))


def _now(layout):
    try:
        return (layout.run_dir / _MARK).read_text()
    except FileNotFoundError:
        return None


def _remember(layout, who):
    (layout.run_dir / _MARK).write_text(who)
