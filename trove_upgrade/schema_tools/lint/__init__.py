# SPDX-License-Identifier: Apache-2.0
"""Refuses revisions that are not safe while services run.

Each rule is a module of the package `rules`, and `RULES` is all of them.
"""

from collections.abc import Iterator, Sequence

from trove_upgrade.db.migrations.chain import Chain
from trove_upgrade.schema_tools.lint import waiver_faults, waivers
from trove_upgrade.schema_tools.lint.rule import Finding, Hit, Rule
from trove_upgrade.schema_tools.lint.rules import RULES
from trove_upgrade.schema_tools.lint.subject import Readings, subject_of

__all__ = ['RULES', 'Finding', 'Rule', 'lint']


def lint(chain: Chain, revisions: Sequence[str] | None = None) -> list[Finding]:
    """Return what stands against these revisions (all of the chain, if none are named), without
    what they waive.

    Needs no database.  Not safe beside another thread that runs migrations: `recording` says why.
    """
    readings = Readings(chain)
    return [
        finding
        for revision in readings.revisions
        if revisions is None or revision in revisions
        for finding in _lint_one(readings, revision)
    ]


def _lint_one(readings: Readings, revision: str) -> Iterator[Finding]:
    subject = subject_of(readings, revision)
    found = [
        finding
        for rule in RULES
        for finding in _findings(revision, rule, list(rule.check(subject)))
    ]
    waived = {waiver.code for waiver in waivers.waivers_of(subject)} & {
        rule.code for rule in RULES if rule.can_be_waived
    }
    yield from (finding for finding in found if finding.code not in waived)
    for rule, hit in waiver_faults.faults(
        subject, found, [rule.code for rule in RULES if rule.can_be_waived]
    ):
        yield from _findings(revision, rule, [hit])


def _findings(revision: str, rule: Rule, hits: Sequence[Hit]) -> Iterator[Finding]:
    """One for each thing that hits are about, with all servers that it was seen on."""
    by_subject: dict[str, list[Hit]] = {}
    for hit in hits:
        by_subject.setdefault(hit.about, []).append(hit)
    for about, same in by_subject.items():
        seen = [hit.seen for hit in same if hit.seen is not None]
        statement = next((one.sql for one in seen if one.sql), '')
        yield Finding(
            code=rule.code,
            revision=revision,
            about=about,
            found=same[0].found,
            statement=statement,
            dialects=tuple(dict.fromkeys(one.dialect for one in seen)),
            why=rule.why,
            instead=rule.instead,
            page=rule.page,
        )
