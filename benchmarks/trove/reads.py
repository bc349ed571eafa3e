# SPDX-License-Identifier: Apache-2.0
"""What our filter costs those who only look: GET of one instance and of the list, through Trove
with the filter and without, in turns.

What is required: with the filter p50 is no more above the one without than two measurements without
it differ from each other.  Both of those are taken in the same run, under two names for the one
stock API, each as often as the one with the filter and in turns with it.

Meanwhile upgrades run in both turns alike: our taskmanager works on copies, with stand-ins for Nova
and the guests (`stand_in`), and a client asks for the next one as soon as one has ended.  The
instance that is looked at is the real one, whose guest answers Trove.
"""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks import load
from benchmarks.trove.orchestration import Upgrades
from lab import rest
from lab.trove.instances import TroveInstance
from lab.trove.stage import TroveStage

CONNECTIONS = 8
ROUNDS = 6  #: of each; who begins goes round, so that each has each place as often
#: Two medians of so few rounds can be alike by chance; no noise below this is believed.
LEAST_NOISE = 1.05
#: The stock API under two names: what these two differ by is noise and nothing else.
STOCK, AGAIN, FILTERED = 'without', 'again without', 'with'
SHOWS, LISTS = 24, 16
WARM = 16


def measure(
    stage: TroveStage, original: TroveInstance, stock_url: str, upgrades: Upgrades
) -> dict[str, Any]:
    """Printed as it comes.  A ratio above 1 means: slower with the filter."""
    demo = stage.handle.users['demo']
    token = rest.Session.of(demo).token()
    project = stage.instances.project_id
    stock = f'{stock_url}/v1.0/{project}'
    urls = {STOCK: stock, AGAIN: stock, FILTERED: f'{stage.side.url}/v1.0/{project}'}
    paths = {'GET one': (f'/instances/{original.id}', SHOWS), 'GET list': ('/instances', LISTS)}
    found: dict[tuple[str, str], list[load.Figures]] = {
        (what, kind): [] for what in paths for kind in urls
    }

    def send(name: str, url: str, path: str, count: int) -> load.Figures:
        requests = [load.Request('GET', path)] * count
        return load.run(name, url, requests, token=token, connections=CONNECTIONS, status=200)

    print(f'\n{load.HEADING}', flush=True)
    with upgrades.running():
        for url in urls.values():
            send('', url, f'/instances/{original.id}', WARM)
        for number in range(ROUNDS):
            for kind in (*tuple(urls)[number % len(urls) :], *tuple(urls)[: number % len(urls)]):
                for what, (path, count) in paths.items():
                    figure = send(f'{what}, {kind} the filter', urls[kind], path, count)
                    print(figure.line(), flush=True)
                    found[what, kind].append(figure)
    print(f'{upgrades.ended} upgrades ended meanwhile', flush=True)
    compared = {what: compare(what, *(found[what, kind] for kind in urls)) for what in paths}
    return {
        'upgrades_meanwhile': upgrades.ended,
        **compared,
        'holds': holds(compared, found.values()),
    }


def holds(
    compared: Mapping[str, Mapping[str, Any]], figures: Iterable[Sequence[load.Figures]]
) -> bool:
    """Every comparison is within its noise, and every request was answered as wanted."""
    return all(one['within_noise'] for one in compared.values()) and not any(
        figure.unexpected for some in figures for figure in some
    )


def compare(
    what: str,
    stock: Sequence[load.Figures],
    again: Sequence[load.Figures],
    with_filter: Sequence[load.Figures],
) -> dict[str, Any]:
    """The noise is what the stock API differs by from itself; a ratio below 1, the filter the
    faster one, is no miss.
    """
    first, second, filtered = (
        statistics.median(figure.p50_ms for figure in figures)
        for figures in (stock, again, with_filter)
    )
    noise = max(first / second, second / first, LEAST_NOISE)
    ratio = filtered / statistics.median(figure.p50_ms for figure in (*stock, *again))
    print(
        f'{what}: p50 {first:.0f} and {second:.0f} ms without, {filtered:.0f} ms with the filter, '
        f'ratio {ratio:.3f}; noise {noise:.3f}',
        flush=True,
    )
    return {
        'ratio': ratio,
        'noise': noise,
        'within_noise': ratio <= noise,
        'figures': [dataclasses.asdict(figure) for figure in (*stock, *again, *with_filter)],
    }
