# SPDX-License-Identifier: Apache-2.0
"""The enforcer of our rules, in files that may hold those of Trove, too.

oslo.policy reads `policy.d` of the configuration's directory, which beside Trove is Trove's.  Its
rules refer to defaults that only Trove registers, so none of them is judged here unless
one of ours refers to it.
"""

import graphlib
import itertools
import threading
from collections.abc import Hashable, Iterator, Mapping, MutableMapping
from typing import Any, Self

from oslo_context import context as oslo_context
from oslo_policy import policy

from trove_upgrade.domain import exceptions, logs

LOG = logs.get_logger(__name__)

#: Every rule of ours begins so.
PREFIX = 'trove_upgrade:'

#: Checks of this module always tell the same of the same caller and target.  Others ask elsewhere
#: (`http:`), or are an operator's own.
_CONSTANT = policy.RuleCheck.__module__
#: Verdicts that are kept: one for each caller and rule.
_MOST = 1024


class PolicyInvalid(exceptions.TroveUpgradeError):
    """The policy file cannot be used."""

    code = 'POLICY_INVALID'
    template = (
        'The policy cannot be used: {found}. Mend the file that [trove_upgrade] policy_file names, '
        'or those of [oslo_policy] policy_dirs, as the policy reference has them.'
    )

    @classmethod
    def by(cls, error: Exception) -> Self:
        """Make it of what oslo.policy has raised at a file that it cannot read."""
        return cls(found=f'{type(error).__name__}: {" ".join(str(error).split()).rstrip(".")}')


class Enforcer(policy.Enforcer):
    """oslo.policy's, which judges our rules and those that they refer to, and no other.

    Judging takes it longer than the rest of a request takes us beside the database.  So a verdict
    is kept until a file is read anew, unless a check asks elsewhere.
    """

    rules: policy.Rules
    file_rules: dict[str, policy.RuleDefault]
    #: From when a file that has a fault was changed since the start: before, the start is refused.
    serves = False

    def __init__(self, *args: Any, **options: Any) -> None:
        self._loading = threading.RLock()
        self._verdicts: dict[Hashable, bool] = {}
        self._unusable: str | None = None
        super().__init__(*args, **options)

    def authorize(
        self, rule: str, target: Mapping[str, Any], creds: oslo_context.RequestContext
    ) -> bool:
        """Tell whether the rule lets the caller do this to the target.

        :raises PolicyNotRegistered: there is no such rule of ours.
        """
        key = _key(rule, target, creds)
        with self._loading:
            self.load_rules()
            verdicts = self._verdicts  # what is judged by these rules goes nowhere else
        known = verdicts.get(key)
        if known is None:
            known = bool(super().authorize(rule, target, creds))
            if self._is_constant(rule):
                if len(verdicts) >= _MOST:
                    verdicts.clear()
                verdicts[key] = known
        return known

    def load_rules(self, force_reload: bool = False) -> None:
        """Read what has changed of the files, one thread at a time, and forget the verdicts where
        that has changed the rules: where the last file of a directory has gone, oslo.policy calls
        neither of the two below.

        Where one cannot be read, the rules from before stay in force as a whole until it can:
        oslo.policy raises once, and then goes on with those of the files that it came to.
        """
        with self._loading:
            # never changed in place: oslo.policy begins both anew before it takes a file's rules
            before, of_files = self.rules, self.file_rules
            try:
                super().load_rules(force_reload)
            except Exception as error:
                # each form of a file that is none has an error of its own
                if not self.serves:
                    raise
                self.rules, self.file_rules = before, of_files
                self._log_unusable(PolicyInvalid.by(error))
            else:
                self._unusable = None
            if self.rules is not before:
                self._verdicts = {}

    def _log_unusable(self, found: PolicyInvalid) -> None:
        """Log it once: some faults are met again by each request."""
        if found.message != self._unusable:
            LOG.error(
                '%s Until then the rules from before the change are in force. (%s)',
                found.message,
                found.code,
            )
        self._unusable = found.message

    def set_rules(
        self, rules: MutableMapping[str, Any], overwrite: bool = True, use_conf: bool = False
    ) -> None:
        """Take these rules, and forget the verdicts by former ones."""
        super().set_rules(rules, overwrite, use_conf)
        self._verdicts = {}

    def _is_constant(self, rule: str) -> bool:
        """Tell whether a rule, with all that it refers to, asks nothing elsewhere."""
        waiting, seen = [rule], set()
        while waiting:
            name = waiting.pop()
            if name in seen or name not in self.rules:
                continue
            seen.add(name)
            if not all(type(check).__module__ == _CONSTANT for check in _checks(self.rules[name])):
                return False
            waiting.extend(_references(self.rules[name]))
        return True

    def check_rules(self, raise_on_violation: bool = False) -> bool:
        """Tell whether the rules can be used. oslo.policy calls it when it has read a file anew.

        :raises InvalidDefinitionError: they cannot, and `raise_on_violation`.
        """
        self._verdicts = {}
        found = self.faults()
        if found and self.serves:
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


def _key(rule: str, target: Mapping[str, Any], creds: oslo_context.RequestContext) -> Hashable:
    """Return all that a constant check can look at."""
    caller = tuple(
        (name, tuple(value) if isinstance(value, list) else value)
        for name, value in creds.to_policy_values().items()
    )
    return rule, tuple(target.items()), caller


def _checks(check: Any) -> Iterator[Any]:
    """A check, and all that it is made of."""
    yield check
    if isinstance(check, policy.NotCheck):
        yield from _checks(check.rule)
    else:
        yield from itertools.chain.from_iterable(map(_checks, getattr(check, 'rules', ())))


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
