# SPDX-License-Identifier: Apache-2.0
"""Many upgrades that release aurora has left behind, made by the server itself, and whether their
histories have come over whole.

One in twenty has six steps, the others have one.  Ids spread over the whole range, so that those of
living upgrades fall between them.
"""

import json

import sqlalchemy as sa

from trove_upgrade.tests.functional.host import databases

STEPS = ('precheck', 'quiesce', 'rebuild', 'boot', 'restore', 'verify')
_EVERY = 20
#: The end of such an id; its first 8 digits are the row's number, and stand in each message.
_TAIL = '-0000-4000-8000-00000000a0a0'
_BEGAN, _ENDED = '2025-06-07T08:09:10.123456', '2025-06-07T08:09:11.654321'


class MariaDB(databases.MariaDB):
    """With memory for a million rows, and nothing to survive a power cut with."""

    def command(self):
        return (
            *super().command(),
            '--innodb-buffer-pool-size=1536M',
            '--innodb-log-file-size=1G',
            '--innodb-doublewrite=0',
            '--innodb-flush-method=nosync',
        )


class PostgreSQL(databases.PostgreSQL):
    """The same."""

    def command(self):
        settings = (
            'shared_buffers=1GB',
            'synchronous_commit=off',
            'full_page_writes=off',
            'wal_level=minimal',
            'max_wal_senders=0',
            'max_wal_size=8GB',
        )
        return (*super().command(), *(word for setting in settings for word in ('-c', setting)))


def _history(names):
    return json.dumps(
        [
            {
                'attempt': 1,
                'ended_at': f'{_ENDED}+00:00',
                'message': 'row @',
                'outcome': 'done',
                'percent': 100,
                'runs': 2,
                'started_at': f'{_BEGAN}+00:00',
                'step': name,
            }
            for name in names
        ],
        sort_keys=True,
        separators=(',', ':'),
    )


def ids(count, wanted):
    """Some of the ids that `load` makes, spread over the table."""
    spread = 2**32 // (count + 1)
    return [f'{number * spread:08x}{_TAIL}' for number in range(1, count + 1, count // wanted)]


def load(engine, count):
    """Insert them; about 10 s for a million on one quiet core."""
    spread = 2**32 // (count + 1)
    if engine.dialect.name == 'postgresql':
        numbers = (
            f"SELECT n, LPAD(TO_HEX(n * {spread}), 8, '0') AS mark, timestamp '2025-01-01' + n * "
            f"interval '1 second' AS at FROM generate_series(CAST(1 AS bigint), {count}) AS "
            'series(n)'
        )
    else:
        numbers = (
            f"SELECT seq AS n, LOWER(LPAD(HEX(seq * {spread}), 8, '0')) AS mark, "
            f"TIMESTAMPADD(SECOND, seq, '2025-01-01') AS at FROM seq_1_to_{count}"
        )
    values = {
        'id': f"CONCAT(mark, '{_TAIL}')",
        'instance_id': f"CONCAT(mark, '{_TAIL}')",
        'project_id': "'old'",
        'instance_name': "'old'",
        'server_id': f"CONCAT(mark, '{_TAIL}')",
        'state': "'COMPLETED'",
        'step': "'verify'",
        'attempt': '1',
        'rebuild_attempt': '1',
        'former_version_id': "'former'",
        'target_version_id': "'target'",
        'target_image_id': "'image'",
        'datastore_manager': "'mariadb'",
        'target_number': "'11.8.6'",
        'generation': '6',
        'created_at': 'at',
        'updated_at': 'at',
        'ended_at': 'at',
        'data': "'{}'",
        'steps': f"REPLACE(CASE WHEN MOD(n, {_EVERY}) = 0 THEN :six ELSE :one END, '@', mark)",
    }
    insert = (
        f'INSERT INTO instance_upgrades ({", ".join(values)}) SELECT '
        f'{", ".join(values.values())} FROM ({numbers}) AS numbers'
    )
    with engine.begin() as connection:
        connection.execute(sa.text(insert), {'six': _history(STEPS), 'one': _history(STEPS[:1])})


def entries(engine):
    """Entries of their histories in the JSON column, counted by the server."""
    length = (
        'JSON_ARRAY_LENGTH(CAST(steps AS json))'
        if engine.dialect.name == 'postgresql'
        else 'JSON_LENGTH(steps)'
    )
    with engine.connect() as connection:
        return int(
            connection.execute(
                sa.text(f'SELECT SUM({length}) FROM instance_upgrades WHERE id LIKE :ours'),
                {'ours': f'%{_TAIL}'},
            ).scalar_one()
        )


def copied(engine):
    """Rows of their histories by all that they hold; the message counts as whether it is the right
    one.
    """
    query = sa.text(
        'SELECT position, step, attempt, started_at, ended_at, runs, outcome, percent, message = '
        "CONCAT('row ', LEFT(upgrade_id, 8)), COUNT(*) FROM instance_upgrade_steps WHERE "
        'upgrade_id LIKE :ours GROUP BY 1, 2, 3, 4, 5, 6, 7, 8, 9 ORDER BY 1, 2'
    )
    with engine.connect() as connection:
        found = connection.execute(query, {'ours': f'%{_TAIL}'})
        return [
            (
                position,
                step,
                attempt,
                began.isoformat(),
                ended.isoformat(),
                runs,
                outcome,
                percent,
                bool(same),
                rows,
            )
            for position, step, attempt, began, ended, runs, outcome, percent, same, rows in found
        ]


def expected(count):
    """What `copied` answers where nothing is lost and nothing doubled."""
    return [
        (
            position,
            step,
            1,
            _BEGAN,
            _ENDED,
            2,
            'done',
            100,
            True,
            count // (_EVERY if position else 1),
        )
        for position, step in enumerate(STEPS)
    ]
