# SPDX-License-Identifier: Apache-2.0
"""The outage on the one-machine cloud: by rows, ours beside by hand and the floor; and killed."""

import dataclasses
import statistics
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
ROUNDS = 3  #: with the first of ROWS; a server makes a key at its start, in 0.5 to 2 s
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
    sizes = [ROWS[0]] * ROUNDS + list(ROWS[1:])
    pairs = [
        (
            services.measure(f'{OURS}, {_millions(rows)}', rows, services.ours),
            services.measure(f'{BY_HAND}, {_millions(rows)}', rows, services.by_hand),
        )
        for rows in sizes
    ]
    ours, hand = [one for one, _ in pairs], [other for _, other in pairs]
    floors = [case.Floor(**each.parts) for each in hand]
    lines = [
        line
        for one, other, floor in zip(ours, hand, floors, strict=True)
        for line in (one.line(), other.line(), floor.line())
    ]
    print('', case.HEADING, *lines, sep='\n')
    every = [warm, *ours, *hand]
    return _summary(ours, hand, floors) | {
        'cases': [_document(each) for each in every],
        'floors': [dataclasses.asdict(floor) for floor in floors],
        'lost': sum(each.lost for each in every),
    }


def _summary(
    ours: list[case.Case], hand: list[case.Case], floors: list[case.Floor]
) -> dict[str, Any]:
    """Return medians of the first number of rows, and the cost of each further million."""
    seconds, by_hand, floor = (
        statistics.median(found)
        for found in (
            [each.downtime_seconds for each in ours[:ROUNDS]],
            [each.downtime_seconds for each in hand[:ROUNDS]],
            [each.whole for each in floors[:ROUNDS]],
        )
    )
    per_million = case.per_million(ROWS, [seconds, ours[-1].downtime_seconds])
    floor_per_million = case.per_million(ROWS, [floor, floors[-1].whole])
    print(
        f'{_millions(ROWS[0])} rows, medians of {ROUNDS}: ours {seconds:.1f} s, by hand '
        f'{by_hand:.1f} s, floor {floor:.1f} s; ours to the floor {seconds / floor:.2f}\n'
        f'each further million of rows: {per_million:.2f} s, of the floor '
        f'{floor_per_million:.2f} s',
        flush=True,
    )
    return {
        'median_seconds': seconds,
        'median_by_hand_seconds': by_hand,
        'median_floor_seconds': floor,
        'ratio_to_floor': seconds / floor,
        'seconds_per_further_million': per_million,
        'floor_per_further_million': floor_per_million,
        'holds': seconds <= AIM_SECONDS and not any(each.lost for each in (*ours, *hand)),
    }


def _killed(stage: Stage, progress: Progress) -> dict[str, Any]:
    cases = killed.Killed(stage, Services(stage, progress)).measure()
    print(f'\n{killed.table(cases)}', flush=True)
    return {'cases': [_document(each) for each in cases], 'holds': killed.holds(cases)}


def _millions(rows: int) -> str:
    return f'{rows // case.MILLION} million'


def _document(found: case.Case) -> dict[str, Any]:
    return {**dataclasses.asdict(found), 'parts': dict(found.parts)}
