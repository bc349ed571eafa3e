# SPDX-License-Identifier: Apache-2.0
"""The enforcer of our rules, in files that may hold those of Trove, too.

oslo.policy reads `policy.d` of the configuration's directory, which beside Trove is Trove's.  Its
rules refer to defaults that only Trove registers, so none of them is judged here unless
one of ours refers to it.
"""

import graphlib
import itertools
from collections.abc import Iterator
from typing import Any

from oslo_policy import policy

from trove_upgrade.domain import logs

LOG = logs.get_logger(__name__)

#: Every rule of ours begins so.
PREFIX = 'trove_upgrade:'


class Enforcer(policy.Enforcer):
    """oslo.policy's, which judges our rules and those that they refer to, and no other."""

    #: From when a fault is one of a file that was changed since the start: before, the start is
    #: refused with the same words.
    logs_faults = False

    def check_rules(self, raise_on_violation: bool = False) -> bool:
        """Tell whether the rules can be used. oslo.policy calls it when it has read a file anew.

        :raises InvalidDefinitionError: they cannot, and `raise_on_violation`.
        """
        found = self.faults()
        if found and self.logs_faults:
            LOG.warning(
                (
                    'The policy has faults since its files were changed: %s. Mend them as the '
                    'policy reference has them.'
                ),
                '; '.join(found),
            )
        if found and raise_on_violation:
            raise policy.InvalidDefinitionError(found)
        return not found

    def faults(self) -> list[str]:
        """Each fault of a rule that is judged, as a part of a sentence.  The
        files must have been read.
        """
        graph = self._graph()
        found = [
            f'{name} refers to {other}, which is defined nowhere'
            for name, others in sorted(graph.items())
            for other in sorted(others)
            if other not in self.rules
        ]
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            found.append(f'rules refer to each other in a circle ({" - ".join(error.args[1])})')
        no_rules = sorted(
            name for name in graph if name in self.file_rules and _is_misread(self.file_rules[name])
        )
        return [
            *found,
            *([f'what stands there for {", ".join(no_rules)} is no rule'] if no_rules else []),
        ]

    def _graph(self) -> dict[str, set[str]]:
        """The rules that are judged, and to which each refers."""
        graph: dict[str, set[str]] = {}
        waiting = [name for name in self.rules if name.startswith(PREFIX)]
        while waiting:
            name = waiting.pop()
            if name in self.rules and name not in graph:
                graph[name] = set(_references(self.rules[name]))
                waiting.extend(graph[name])
        return graph


def _references(check: Any) -> Iterator[str]:
    """Names of the rules in a check.  Below `not`, too: oslo.policy takes a rule that is missing
    for a no, and `not` makes a yes of it.
    """
    if isinstance(check, policy.RuleCheck):
        yield check.match
    elif isinstance(check, policy.NotCheck):
        yield from _references(check.rule)
    else:
        yield from itertools.chain.from_iterable(map(_references, getattr(check, 'rules', ())))


def _is_misread(rule: policy.RuleDefault) -> bool:
    """Tell whether the rule lets no user in although it is not written so: oslo.policy takes what
    it does not understand for "!".
    """
    return str(rule.check) == '!' and not _denies(rule.check_str)


def _denies(written: Any) -> bool:
    """Tell whether a rule is written as a refusal, in oslo.policy's language or in its older one of
    lists.
    """
    if isinstance(written, str):
        return written.strip('() \t\n') == '!'
    return bool(written) and all(map(_denies, written))
