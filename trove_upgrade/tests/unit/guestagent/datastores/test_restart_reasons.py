# SPDX-License-Identifier: Apache-2.0
"""Configurations with which a server may be started as clients are to meet it, and others."""

import pathlib

from hypothesis import given
from hypothesis import strategies as st

from trove_upgrade.guestagent.datastores.mysql_family import (
    option_files,
    option_groups,
    restart_reasons,
)
from trove_upgrade.guestagent.datastores.mysql_family.restart_reasons import Restart
from trove_upgrade.tests.unit import base

#: Options that act at a start, and a value that each takes.
_ACTING = {'init-file': '/x', 'event-scheduler': 'DISABLED', 'wsrep-on': 'ON'}
_PREFIXES = ('', 'loose-', 'loose_', 'enable-')


def configured(*options, unread=()):
    """The configuration of `options`, each a group, a name and a value."""
    return option_files.Configuration(
        options=tuple(
            option_files.Option(
                group=group,
                name=option_files.canonical(name),
                value=value,
                path=pathlib.Path('x'),
                line=line,
            )
            for line, (group, name, value) in enumerate(options)
        ),
        files=(),
        unread=unread,
        groups=option_groups.MARIADB,
    )


class TestReasons(base.TestCase):
    def reason(self, *options, **others):
        return restart_reasons.of_configuration(configured(*options, **others))

    @given(
        st.sampled_from(sorted(_ACTING)),
        st.integers(5, 9),
        st.sampled_from(_PREFIXES),
        st.sampled_from(('mysqld', 'mariadb', 'mariadb-11.8', 'client-server')),
    )
    def test_what_acts_at_a_start_is_found_by_every_beginning_of_its_name(
        self, name, length, prefix, group
    ):
        self.assertIsNotNone(self.reason((group, prefix + name[:length], _ACTING[name])))

    @given(
        st.text('abcdefgh', min_size=1), st.sampled_from(('client', 'mysqldump', 'mariadb-dump'))
    )
    def test_options_of_other_programs_forbid_nothing(self, value, group):
        self.assertIsNone(self.reason((group, 'init-file', value)))

    def test_an_event_scheduler_is_switched_only_where_every_server_reads_it_alike(self):
        for options, reason, is_on in (
            ((), None, False),
            ((('mysqld', 'event_scheduler', 'ON'),), None, True),
            ((('mysqld', 'event-scheduler', None),), None, True),
            (
                (('mysqld', 'event_scheduler', '1'), ('mariadb', 'event_scheduler', 'off')),
                None,
                False,
            ),
            ((('mariadb-10.11', 'event_scheduler', 'ON'),), Restart.EVENTS, None),
            ((('mysqld', 'skip-event-scheduler', None),), Restart.EVENTS, None),
            ((('mysqld', 'event', 'ON'),), Restart.EVENTS, None),
        ):
            self.assertEqual(reason, self.reason(*options), options)
            if reason is None:
                self.assertEqual(
                    is_on, restart_reasons.has_events_on(configured(*options)), options
                )

    def test_what_could_not_be_read_forbids_it(self):
        self.assertEqual(Restart.CONFIGURATION, self.reason(unread=('x is a pipe',)))

    @given(st.sets(st.integers(0, 65535), max_size=5))
    def test_every_port_that_any_group_of_servers_names_is_closed(self, numbers):
        found = restart_reasons.ports(
            configured(*(('mariadb-11.8', 'port', str(number)) for number in numbers))
        )
        self.assertEqual({restart_reasons.DEFAULT_PORT} | (numbers - {0}), set(found))

    @given(
        st.sampled_from(('socket', 'loose-socket', 'sock')),
        st.sampled_from(('mysqld', 'client-server', 'mariadb-11.8')),
        st.sampled_from(
            (
                '/tmp/mysql.sock',
                '/run/mysqld',
                '/run/mysqld/../mysql.sock',
                '/run/mysqld2/mysqld.sock',
                '/var/lib/mysql/mysql.sock',
                'mysql.sock',
                '@mariadb',
                '',
                None,
            )
        ),
    )
    def test_a_socket_that_other_users_reach_forbids_it_and_none_else_does(
        self, name, group, value
    ):
        closed = ('mysqld', 'socket', '/var/run/mysqld//mysqld.sock')
        for options, reason in (
            ([], None),
            ([closed], None),
            ([('client', name, value)], None),
            ([(group, name, value)], Restart.SOCKET),
            ([(group, name, value), closed], Restart.SOCKET),
        ):
            found = restart_reasons.of_socket(configured(*options), pathlib.Path('/'))
            self.assertEqual(reason, found, options)

    def test_a_configuration_that_could_not_be_read_may_name_any_socket(self):
        found = restart_reasons.of_socket(configured(unread=('x',)), pathlib.Path('/'))
        self.assertEqual(Restart.CONFIGURATION, found)

    def test_a_port_that_is_no_number_forbids_it(self):
        for value in ('3306K', '', None, '70000', '٣'):
            self.assertEqual(Restart.PORTS, self.reason(('mysqld', 'extra_port', value)))
