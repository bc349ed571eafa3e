# SPDX-License-Identifier: Apache-2.0
"""The parts of `make bench-trove` on one cloud, which is brought up if none is, and left as it was
found.
"""

import time
from collections.abc import Callable
from typing import Any

from benchmarks.trove import copies, downtime, instance, orchestration, patch, reads
from benchmarks.trove.stock import stock_api
from lab.cloud import Cloud
from lab.layout import Layout
from lab.progress import Progress
from lab.trove import stage as trove_stage
from lab.trove.stage import TroveStage

ORIGINAL = 'bench-original'
ROWS_PARTS = ('patch', 'orchestration', 'reads')
ALL = (*ROWS_PARTS, 'downtime')


def measure(parts: tuple[str, ...] = ALL) -> dict[str, Any]:
    """Figures by part; `holds` of each says whether what is required of it was reached."""
    layout, progress = Layout.from_environ(), Progress()
    cloud = Cloud(layout)
    was_up = layout.handle_file.exists()
    try:
        cloud.up(progress)
        stage = trove_stage.start(
            layout, cloud, progress, with_product=True, options={}
        )  # as an operator has it
        with stock_api(stage) as stock_url:
            found = (
                _on_rows(stage, progress, stock_url, parts) if set(parts) & set(ROWS_PARTS) else {}
            )
            if 'downtime' in parts:
                found['downtime'] = _timed(lambda: downtime.measure(stage, progress, stock_url))
    finally:
        if not was_up:
            cloud.down(progress)
    for name, part in found.items():
        print(
            f'{name}: {"holds" if part["holds"] else "DOES NOT HOLD"}; took '
            f'{part["took_seconds"]:.0f} s'
        )
    return found


def _on_rows(
    stage: TroveStage, progress: Progress, stock_url: str, parts: tuple[str, ...]
) -> dict[str, Any]:
    """On copies of one real instance."""
    progress.line('Creating the instance whose rows are copied')
    found: dict[str, Any] = {}
    with instance.created(stage, ORIGINAL) as original, copies.copies_of(stage, original) as rows:
        upgrades = orchestration.Upgrades(stage, rows)
        every: dict[str, Callable[[], dict[str, Any]]] = {
            'patch': lambda: patch.measure(stage, rows, stock_url),
            'orchestration': lambda: orchestration.measure(upgrades, rows),
            'reads': lambda: reads.measure(stage, original, stock_url, upgrades),
        }
        for name, part in every.items():
            if name in parts:
                found[name] = _timed(part)
                rows.remove()
                copies.drain(stage)
    return found


def _timed(part: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    started = time.monotonic()
    return {**part(), 'took_seconds': time.monotonic() - started}
