# SPDX-License-Identifier: Apache-2.0
"""What our filter costs those who only look: GET of one instance and of the list, through Trove with the filter and without, in turns.

Meanwhile upgrades run in both turns alike: our taskmanager works on copies, with stand-ins for Nova and the guests (`stand_in`), and a
client asks for the next one as soon as one has ended.  The instance that is looked at is the real one, whose guest answers Trove.
"""
import dataclasses
import statistics
from typing import Any

from benchmarks import load
from benchmarks.trove.orchestration import Upgrades
from trove_upgrade.lab import rest
from trove_upgrade.lab.trove.instances import TroveInstance
from trove_upgrade.lab.trove.stage import TroveStage

CONNECTIONS = 8
ROUNDS = 4          #: of each, as A B B A A B B A
SHOWS, LISTS = 24, 16
WARM = 16


def measure(stage: TroveStage, original: TroveInstance, stock_url: str, upgrades: Upgrades) -> dict[str, Any]:
    """Printed as it comes.  A ratio above 1 means: slower with the filter."""
    demo = stage.handle.users['demo']
    token = rest.Session(demo.auth_url, demo.username, demo.password, demo.project_name).token()
    project = stage.instances.project_id
    urls = {'without': f'{stock_url}/v1.0/{project}', 'with': f'{stage.side.url}/v1.0/{project}'}
    paths = {'GET one': (f'/instances/{original.id}', SHOWS), 'GET list': ('/instances', LISTS)}
    found: dict[tuple[str, str], list[load.Figures]] = {(what, kind): [] for what in paths for kind in urls}
    print(f'\n{load.HEADING}', flush=True)
    with upgrades.running():
        for url in urls.values():
            load.run('', url, [load.Request('GET', f'/instances/{original.id}')] * WARM, token=token, connections=CONNECTIONS, status=200)
        for number in range(ROUNDS):
            for kind in (tuple(urls) if number % 2 == 0 else tuple(reversed(urls))):
                for what, (path, count) in paths.items():
                    figure = load.run(f'{what}, {kind} the filter', urls[kind], [load.Request('GET', path)] * count, token=token,
                                      connections=CONNECTIONS, status=200)
                    print(figure.line(), flush=True)
                    found[what, kind].append(figure)
    print(f'{upgrades.ended} upgrades ended meanwhile', flush=True)
    return {'upgrades_meanwhile': upgrades.ended, **{what: _compared(what, found[what, 'without'], found[what, 'with']) for what in paths},
            'holds': not any(figure.unexpected for figures in found.values() for figure in figures)}


def _compared(what: str, without: list[load.Figures], with_filter: list[load.Figures]) -> dict[str, Any]:
    """The noise is how much rounds of the same kind differ among themselves."""
    middle = {name: statistics.median(figure.p50_ms for figure in figures) for name, figures in (('without', without), ('with', with_filter))}
    noise = max(max(figure.p50_ms for figure in figures) / min(figure.p50_ms for figure in figures) for figures in (without, with_filter))
    ratio = middle['with'] / middle['without']
    print(f'{what}: p50 {middle["without"]:.0f} ms without, {middle["with"]:.0f} ms with the filter, ratio {ratio:.2f}; rounds of one kind '
          f'differ by {noise:.2f}', flush=True)
    return {'ratio': ratio, 'noise': noise, 'within_noise': 1 / noise <= ratio <= noise,
            'figures': [dataclasses.asdict(figure) for figure in (*without, *with_filter)]}
