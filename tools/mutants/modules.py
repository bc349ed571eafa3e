# SPDX-License-Identifier: Apache-2.0
"""The core modules, each with the unit tests of its subject: a mutant runs no others."""

from collections.abc import Mapping, Sequence

PACKAGE = 'trove_upgrade'
UNIT = f'{PACKAGE}.tests.unit'

#: Below the package -> modules, or classes, below the unit tests.
TESTS: Mapping[str, Sequence[str]] = {
    'db/migrations/lease.py': ('db.migrations.test_lease',),
    'db/tasks.py': ('db.test_upgrades',),
    'db/upgrades.py': ('db.test_upgrades', 'db.test_upgrade_lists'),
    'domain/states.py': ('domain.test_states',),
    'domain/admission.py': ('domain.test_upgrades', 'db.test_upgrades', 'db.test_later_release'),
    'domain/progress.py': (
        'domain.test_upgrades',
        'db.test_progress_codec',
        'taskmanager.steps.test_steps',
        'taskmanager.steps.test_rebuild',
        'taskmanager.test_rollback',
    ),
    'domain/upgrades.py': ('domain.test_upgrades', 'taskmanager.test_runner'),
    'guestagent/upgrade/quiesce.py': (
        'guestagent.upgrade.test_flows',
        'guestagent.upgrade.test_rollback',
        'guestagent.test_shared_volume',
    ),
    'guestagent/upgrade/restore.py': (
        'guestagent.upgrade.test_flows',
        'guestagent.upgrade.test_info',
        'guestagent.upgrade.test_rollback',
        'guestagent.test_shared_volume',
    ),
    'guestagent/jobs/job.py': ('guestagent.jobs.test_job',),
    'guestagent/storage/stash/restore.py': (
        'guestagent.storage.test_hostile_stash',
        'guestagent.storage.test_stash',
    ),
    'taskmanager/runner.py': (
        'taskmanager.test_runner',
        'taskmanager.test_outages',
        'taskmanager.test_rollback',
        'taskmanager.test_silent_guests',
    ),
    'taskmanager/step_runner.py': (
        'taskmanager.test_runner',
        'taskmanager.test_outages',
        'taskmanager.test_silent_guests',
    ),
    'taskmanager/scheduler.py': (
        'taskmanager.test_scheduler',
        'taskmanager.test_parts.TestScheduler',
    ),
    'taskmanager/steps/rebuild.py': (
        'taskmanager.steps.test_rebuild',
        'taskmanager.steps.test_stored_facts',
        'taskmanager.test_rollback',
    ),
}


def named(words: Sequence[str]) -> list[str]:
    """Return the modules of the list whose names end with one of `words`; all, where there are
    none.

    :raises ValueError: a word is the end of no name.
    """
    found = [name for name in TESTS if not words or name.endswith(tuple(words))]
    for word in words:
        if not any(name.endswith(word) for name in found):
            raise ValueError(f'no module of the list ends with {word}: {", ".join(TESTS)}')
    return found


def tests(name: str) -> list[str]:
    """Names of the tests of one module, as a test runner takes them."""
    return [f'{UNIT}.{test}' for test in TESTS[name]]
