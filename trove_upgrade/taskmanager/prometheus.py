# SPDX-License-Identifier: Apache-2.0
"""Figures of a taskmanager in the format of Prometheus.

What happens in this process is counted here; how many upgrades there are of each state is asked of
the database when the figures are read, and is the same at each taskmanager.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping

import prometheus_client
from prometheus_client import core, registry

from trove_upgrade.domain import logs, states
from trove_upgrade.domain.drops import Drops
from trove_upgrade.domain.upgrades import StepRun, Upgrade
from trove_upgrade.taskmanager.outages import Outages

LOG = logs.get_logger(__name__)

_PREFIX = 'trove_upgrade'
_STEP_SECONDS = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 7200)
_DOWNTIME_SECONDS = (1, 2.5, 5, 7.5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 300, 600, 1800)
_READ = 'The upgrades by state could not be counted for the monitoring system'


@dataclasses.dataclass(frozen=True)
class Build:
    """The program that is observed."""

    version: str
    release: str


class PrometheusMetrics:
    """Implements domain.metrics.Metrics.  Safe to share between threads."""

    def __init__(self, build: Build) -> None:
        self.registry = prometheus_client.CollectorRegistry()
        self._steps = prometheus_client.Histogram(
            f'{_PREFIX}_step_seconds',
            'Duration of the steps that have ended here, by step and outcome.',
            ('step', 'outcome'),
            buckets=_STEP_SECONDS,
            registry=self.registry,
        )
        self._downtime = prometheus_client.Histogram(
            f'{_PREFIX}_downtime_seconds',
            'Time for which the databases of upgrades that have ended here did not serve.',
            ('state',),
            buckets=_DOWNTIME_SECONDS,
            registry=self.registry,
        )
        self._attempts = self._counter(
            'attempts_ended', 'Attempts that have ended here, by their final state.', ('state',)
        )
        self._takeovers = self._counter(
            'lease_takeovers', 'Upgrades taken over from a taskmanager that had not let go of them.'
        )
        self._refused = self._counter(
            'messages_refused', 'Messages of the broker refused for their form or their method.'
        )
        prometheus_client.Info(
            f'{_PREFIX}_build', 'Version of the package and its release.', registry=self.registry
        ).info(dataclasses.asdict(build))

    def step_ended(self, run: StepRun) -> None:
        """Observe a step that has ended."""
        if run.ended_at is not None:
            seconds = max(0.0, (run.ended_at - run.started_at).total_seconds())
            self._steps.labels(str(run.step), str(run.outcome)).observe(seconds)

    def attempt_ended(self, ended: Upgrade) -> None:
        """Observe an attempt that has ended, and its downtime where a guest has told a possible
        one.
        """
        self._attempts.labels(str(ended.state)).inc()
        seconds = ended.progress.restore.downtime_seconds
        if seconds is not None and ended.ended_at is not None:
            age = (ended.ended_at - ended.created_at).total_seconds()
            # a guest tells it, and one sum of all is made of it
            if math.isfinite(seconds) and 0 <= seconds <= age:
                self._downtime.labels(str(ended.state)).observe(seconds)

    def lease_taken_over(self) -> None:
        """Count a claim of what another had not let go of."""
        self._takeovers.inc()

    def call_refused(self) -> None:
        """Count a message that was refused."""
        self._refused.inc()

    def watch_drops(self, drops: Drops) -> None:
        """Show the messages that `drops` counts."""
        self.registry.register(_DroppedMessages(drops))

    def watch_upgrades(
        self, count: Callable[[], Mapping[states.UpgradeState, int]], outages: Outages
    ) -> None:
        """Show how many upgrades there are of each state, as `count` finds when it is asked."""
        self.registry.register(_UpgradesByState(count, outages))

    def _counter(
        self, name: str, text: str, labels: tuple[str, ...] = ()
    ) -> prometheus_client.Counter:
        return prometheus_client.Counter(f'{_PREFIX}_{name}', text, labels, registry=self.registry)


class _DroppedMessages(registry.Collector):
    """Messages that were dropped since the start, by reason."""

    def __init__(self, drops: Drops) -> None:
        self._drops = drops

    def collect(self) -> Iterator[core.Metric]:
        """Yield the one figure."""
        family = core.CounterMetricFamily(
            f'{_PREFIX}_messages_dropped',
            'Messages of the broker that counted as never sent, by reason.',
            labels=('reason',),
        )
        for reason, number in self._drops.labelled.items():
            family.add_metric((reason,), number)
        yield family


class _UpgradesByState(registry.Collector):
    """Upgrades in the database, by state; without an answer of it only that there is none."""

    def __init__(
        self, count: Callable[[], Mapping[states.UpgradeState, int]], outages: Outages
    ) -> None:
        self._count = count
        self._outages = outages

    def collect(self) -> Iterator[core.Metric]:
        """Yield the figures that the database answers for."""
        found: Mapping[states.UpgradeState, int] | None = None
        try:
            found = self._count()
        except Exception as error:  # noqa: BLE001 - the edge of a request; `outages` logs it
            self._outages.met(_READ, error)
        else:
            self._outages.over(_READ)
        yield core.GaugeMetricFamily(
            f'{_PREFIX}_database_up',
            'Whether the database has answered when these figures were read.',
            value=0 if found is None else 1,
        )
        if found is not None:
            family = core.GaugeMetricFamily(
                f'{_PREFIX}_upgrades',
                'Upgrades in the database by state; the same at each taskmanager.',
                labels=('state',),
            )
            for state in {*states.UpgradeState, *found}:
                family.add_metric((str(state),), found.get(state, 0))
            yield family

    def describe(self) -> Iterator[core.Metric]:
        """Yield nothing: a registration must not ask the database."""
        yield from ()
