# SPDX-License-Identifier: Apache-2.0
"""PATCH: stock Trove's and ours, in turns, on the same cloud; each on an instance of its own, each
accepted.

Both are served by uWSGI with 2 processes of 4 threads, over connections that are kept, with a real
token.  See `copies` for what the instances are.  What follows a PATCH is only queued: both
taskmanagers are stopped.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import load
from benchmarks.trove.copies import Copies
from lab import rest
from lab.trove.stage import TroveStage

CONNECTIONS = 8
ROUNDS = 2
STOCK, OURS = 60, 300  #: of one round with 8 connections: about as long for each
STOCK_ALONE, OURS_ALONE = 20, 100
WARM = 32  #: so that each thread of each process has its connections and has seen the token
REQUIRED = 10.0


def measure(stage: TroveStage, copies: Copies, stock_url: str) -> dict[str, Any]:
    """Printed as it comes."""
    ids = iter(copies.make(2 * WARM + ROUNDS * (STOCK + OURS) + STOCK_ALONE + OURS_ALONE))
    demo = stage.handle.users['demo']
    token = rest.Session.of(demo).token()
    body = json.dumps({'instance': {'datastore_version': stage.target.name}}).encode()
    urls = {
        'stock': f'{stock_url}/v1.0/{stage.instances.project_id}',
        'ours': f'{stage.side.url}/v1.0/{stage.instances.project_id}',
    }

    def send(name: str, count: int, connections: int, kind: str) -> load.Figures:
        requests = [load.Request('PATCH', f'/instances/{next(ids)}', body) for _ in range(count)]
        figure = load.run(
            name, urls[kind], requests, token=token, connections=connections, status=202
        )
        print(figure.line(), flush=True)
        return figure

    print(f'\n{load.HEADING}', flush=True)
    for kind in urls:
        send(f'{kind}: warm-up', WARM, CONNECTIONS, kind)
    rounds: dict[str, list[load.Figures]] = {'stock': [], 'ours': []}
    for _ in range(ROUNDS):
        for kind, count in (('stock', STOCK), ('ours', OURS)):
            rounds[kind].append(send(f'PATCH, {kind}', count, CONNECTIONS, kind))
    alone = {
        kind: send(f'PATCH, {kind}', count, 1, kind)
        for kind, count in (('stock', STOCK_ALONE), ('ours', OURS_ALONE))
    }
    return _compare(rounds, alone)


def _compare(
    rounds: Mapping[str, Sequence[load.Figures]], alone: Mapping[str, load.Figures]
) -> dict[str, Any]:
    """Printed, too.  `alone` is with one connection."""
    rates = {kind: rate(figures) for kind, figures in rounds.items()}
    ratio = rates['ours'] / rates['stock']
    alone_ratio = alone['ours'].per_second / alone['stock'].per_second
    print(
        f'PATCH: stock {rates["stock"]:.1f}/s, ours {rates["ours"]:.1f}/s, ratio {ratio:.1f} '
        f'(required {REQUIRED:.0f}); with one connection {alone_ratio:.1f}',
        flush=True,
    )
    figures = [*rounds['stock'], *rounds['ours'], *alone.values()]
    return {
        'ratio': ratio,
        'ratio_one_connection': alone_ratio,
        'figures': [dataclasses.asdict(figure) for figure in figures],
        'holds': ratio >= REQUIRED and not any(figure.unexpected for figure in figures),
    }


def rate(figures: Sequence[load.Figures]) -> float:
    """Requests per second over all rounds."""
    return sum(figure.requests for figure in figures) / sum(
        figure.requests / figure.per_second for figure in figures
    )
