# SPDX-License-Identifier: Apache-2.0
"""The parts of `make bench` and `make bench-trove`: measure, print, and write
benchmarks/results/<date>.json.
"""

import dataclasses
import datetime
import functools
import json
import os
import pathlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import api, drift, load, opening, orchestration, schema, sealing, silent, stash
from benchmarks.outage import run as outage
from benchmarks.trove import run as trove_run
from lab import stage as lab_stage
from lab.cloud import Cloud
from lab.layout import Layout
from lab.progress import Progress
from trove_upgrade.guestagent.storage.stash import accounts, publish, restore

RESULTS = pathlib.Path(__file__).parent / 'results'


def _stash_and_restore(place: pathlib.Path, target: pathlib.Path) -> None:
    """What quiesce does with /etc/mysql on one root disk, and restore on the next."""
    owners = accounts.SystemAccounts()
    target.mkdir(mode=0o700)
    published = publish.publish([place / 'etc' / 'mysql'], target, 'bench', 1, {}, owners)
    with restore.Stash.open(target, published.name, published.digest) as opened:
        opened.restore(opened.paths(), owners, target / 'there')


def _api() -> list[dict[str, Any]]:
    """On the one-machine cloud, which is brought up if none is."""
    layout, progress = Layout.from_environ(), Progress()
    cloud = Cloud(layout)
    was_up = layout.handle_file.exists()
    try:
        running = lab_stage.set_stage(layout, cloud, progress)
        figures = api.measure(running)
    finally:
        if not was_up:
            cloud.down(progress)
    print(load.HEADING)
    for figure in figures:
        print(figure.line())
    baseline = figures[0].per_second
    for figure in figures[1:5]:
        print(f'{figure.name}: {figure.per_second / baseline:.3f} of the baseline')
    return [dataclasses.asdict(figure) for figure in figures]


def _stash() -> dict[str, float]:
    tree = stash.measure(_stash_and_restore)
    print(
        f'stash + restore of {tree["files"]} files: {tree["stash_and_restore_seconds"]:.2f} s; cp '
        f'-a there and back, sync: {tree["cp_a_seconds"]:.2f} s; ratio {tree["ratio"]:.2f}'
    )
    return tree


PARTS: dict[str, Callable[[], Any]] = {
    'api': _api,
    'stash': _stash,
    'schema': schema.measure,
    'silent': silent.measure,
    'sealing': sealing.measure,
    'opening': opening.measure,
    'outage': outage.measure,
    'outage-killed': outage.measure_killed,
    'orchestration': orchestration.measure,
    'drift': drift.measure,
}
_FINE = {'holds': True}
#: On a cloud of their own, and too long for every `make bench`.
TROVE_PARTS: dict[str, Callable[[], Any]] = {
    'trove': trove_run.measure,
    **{f'trove-{name}': functools.partial(trove_run.measure, (name,)) for name in trove_run.ALL},
}


def measure(names: Sequence[str]) -> int:
    """Print tables for people and write a file for programs; the parts of PARTS, or those that are
    named.
    """
    known = {**PARTS, **TROVE_PARTS}
    unknown = set(names) - set(known)
    if unknown:
        print(
            f'benchmarks: no part is named {", ".join(sorted(unknown))}; there are '
            f'{", ".join(known)}',
            file=sys.stderr,
        )
        return 2
    found = {name: known[name]() for name in names or PARTS}
    RESULTS.mkdir(exist_ok=True)
    now = datetime.datetime.now(datetime.UTC)
    (RESULTS / f'{now:%Y-%m-%d-%H%M}.json').write_text(
        json.dumps({'at': now.isoformat(), 'cores': os.cpu_count(), **found}, indent=1)
    )
    unexpected = sum(figure['unexpected'] for figure in found.get('api', ()))
    failed = sum(
        run['failed'] for server in found.get('schema', {}).values() for run in server['runs']
    )
    missed = [name for name in ('outage', 'outage-killed') if not found.get(name, _FINE)['holds']]
    missed += [
        part
        for name in TROVE_PARTS
        if name in found
        for part, figures in found[name].items()
        if not figures['holds']
    ]
    slowed = found.get('silent', {}).get('ratio', 1.0) < silent.LEAST_RATIO
    lingering = not found.get('orchestration', {}).get('holds', True)
    return 1 if unexpected or failed or missed or slowed or lingering else 0
