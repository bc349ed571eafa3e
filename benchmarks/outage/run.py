# SPDX-License-Identifier: Apache-2.0
"""The outage on the one-machine cloud: by rows, ours beside by hand and the floor; and killed."""

import dataclasses
from collections.abc import Callable
from typing import Any

from benchmarks.outage import case, killed
from benchmarks.outage.service import Services
from lab import stage as lab_stage
from lab.cloud import Cloud
from lab.layout import Layout
from lab.progress import Progress
from lab.stage import Stage

ROWS = (case.MILLION, 10 * case.MILLION)
OURS, BY_HAND = 'ours', 'by hand'
AIM_SECONDS = 8.0  #: with the first of ROWS


def measure() -> dict[str, Any]:
    """Measure ours and by hand for each number of rows, and print both beside the floor."""
    return _on_stage(_by_rows)


def measure_killed() -> dict[str, Any]:
    """Measure upgrades that lose their taskmanager, by step."""
    return _on_stage(_killed)


def _on_stage(part: Callable[[Stage, Progress], dict[str, Any]]) -> dict[str, Any]:
    layout, progress = Layout.from_environ(), Progress()
    cloud = Cloud(layout)
    was_up = layout.handle_file.exists()
    try:
        return part(lab_stage.set_stage(layout, cloud, progress), progress)
    finally:
        if not was_up:
            cloud.down(progress)


def _by_rows(stage: Stage, progress: Progress) -> dict[str, Any]:
    services = Services(stage, progress)
    warm = services.measure('warm-up', 1000, services.ours)  # a host's first server of an image
    lines, found = [], []
    for rows in ROWS:
        ours = services.measure(f'{OURS}, {_millions(rows)}', rows, services.ours)
        by_hand = services.measure(f'{BY_HAND}, {_millions(rows)}', rows, services.by_hand)
        floor = case.Floor(**by_hand.parts)
        lines += [ours.line(), by_hand.line(), floor.line()]
        found.append((ours, by_hand, floor))
    print('', case.HEADING, *lines, sep='\n')
    further = case.per_million([ours for ours, _, _ in found])
    floors = [floor for _, _, floor in found]
    further_floor = (floors[-1].whole - floors[0].whole) / ((ROWS[-1] - ROWS[0]) / case.MILLION)
    print(
        f'each further million of rows: {further:.2f} s, of the floor {further_floor:.2f} s',
        flush=True,
    )
    first = found[0][0]
    every = [warm, *(each for ours, by_hand, _ in found for each in (ours, by_hand))]
    return {
        'cases': [_document(each) for each in every],
        'floors': [dataclasses.asdict(floor) for floor in floors],
        'seconds_per_further_million': further,
        'floor_per_further_million': further_floor,
        'ratio_to_floor': first.downtime_seconds / floors[0].whole,
        'holds': first.downtime_seconds <= AIM_SECONDS and not any(each.lost for each in every),
    }


def _killed(stage: Stage, progress: Progress) -> dict[str, Any]:
    cases = killed.Killed(stage, Services(stage, progress)).measure()
    print(f'\n{killed.table(cases)}', flush=True)
    return {'cases': [_document(each) for each in cases], 'holds': killed.holds(cases)}


def _millions(rows: int) -> str:
    return f'{rows // case.MILLION} million'


def _document(found: case.Case) -> dict[str, Any]:
    return {**dataclasses.asdict(found), 'parts': dict(found.parts)}
