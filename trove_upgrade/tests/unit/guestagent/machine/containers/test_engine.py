# SPDX-License-Identifier: Apache-2.0
"""The engine's client against an engine that answers oddly."""

import base64
import json
import pathlib
import socket
import subprocess
import threading

import fixtures

from trove_upgrade.clock import SystemClock
from trove_upgrade.guestagent.machine.containers import (
    definitions,
    errors,
    http,
    image_documents,
    output,
    throwaway,
)
from trove_upgrade.guestagent.machine.containers import docker_engine as engine
from trove_upgrade.guestagent.machine.containers.login import RegistryLogin
from trove_upgrade.tests.unit import base


def answer(body, status='200 OK', length=None):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return (
        f'HTTP/1.1 {status}\r\nContent-Length: '
        f'{len(raw) if length is None else length}\r\n\r\n'.encode()
        + raw
    )


def frame(text, kind=1):
    raw = text if isinstance(text, bytes) else text.encode()
    return bytes([kind, 0, 0, 0]) + len(raw).to_bytes(4, 'big') + raw


CONTAINER = {
    'Id': 'c1',
    'Image': 'sha256:1',
    'Config': {'Image': 'mariadb:10.11'},
    'HostConfig': {'RestartPolicy': {'Name': ''}},
    'State': {'Status': 'running', 'Running': True, 'ExitCode': 0},
}
IMAGE = {'Id': 'sha256:1', 'Config': {'Env': ['PATH=/bin']}}
STREAM = b'HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n'


class Engine(fixtures.Fixture):
    """A socket that gives one canned answer to each request, by its method and path; None: it says
    nothing and hangs.
    """

    def __init__(self, answers):
        super().__init__()
        self.answers = {
            key: list(value) if isinstance(value, list) else [value]
            for key, value in answers.items()
        }
        self.asked = []
        self.bodies = []
        self.reads_bodies = True
        self.logins = []
        self.offered = answer({'ApiVersion': '1.41', 'MinAPIVersion': '1.12'})

    def _setUp(self):
        self.path = pathlib.Path(self.useFixture(fixtures.TempDir()).path) / 'docker.sock'
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()
        self.addCleanup(self._end)

    def _end(self):
        self._ended.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _serve(self):
        while not self._ended.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with connection:
            stream = connection.makefile('rb')
            method, address, _ = stream.readline().decode().split()
            length, login, is_archive = 0, None, False
            while line := stream.readline().decode().strip():
                if line.lower().startswith('content-length:'):
                    length = int(line.split(':')[1])
                is_archive = is_archive or line.lower() == 'content-type: application/x-tar'
                if line.lower().startswith('x-registry-auth:'):
                    login = json.loads(base64.urlsafe_b64decode(line.partition(':')[2].strip()))
            body = stream.read(length if self.reads_bodies else 0)
            self.bodies.append(body if is_archive else json.loads(body) if body else None)
            key = f'{method} {address.removeprefix("/v1.40").partition("?")[0]}'
            if address == '/version':  # before all else, for the version of the API
                connection.sendall(self.offered)
                return
            self.asked.append(key)
            self.logins.append(login)
            canned = self.answers.get(key, [answer({'message': 'page not found'}, '404 Not Found')])
            raw = canned.pop(0) if len(canned) > 1 else canned[0]
            if raw is None:
                self._ended.wait(30)
            else:
                try:
                    connection.sendall(raw)
                except BrokenPipeError:
                    return


class EngineTestCase(base.TestCase):
    def engine(self, answers, **kwargs):
        self.fake = self.useFixture(Engine(answers))
        limits = engine.Limits(**{'short': 5, 'start': 5, 'pull': 5, **kwargs.pop('limits', {})})
        return engine.DockerEngine(
            http.UnixTransport(self.fake.path), SystemClock(), limits=limits, **kwargs
        )


class VersionTest(EngineTestCase):
    """Of the API: the engine's answer decides."""

    def test_the_platform_is_told_in_the_words_of_images(self):
        found = self.engine({'GET /version': answer({'Os': 'linux', 'Arch': 'arm64'})})
        self.assertEqual(image_documents.Platform('linux', 'arm64'), found.platform())

    def test_an_engine_that_does_not_tell_its_platform_is_an_error(self):
        found = self.engine({'GET /version': answer({'Version': '20.10'})})
        self.assertRaises(errors.EngineNotAnswering, found.platform)

    def test_an_engine_that_takes_nothing_older_is_spoken_to_in_its_oldest(self):
        found = self.engine({'GET /v1.44/containers/database/json': answer(CONTAINER)})
        self.fake.offered = answer({'ApiVersion': '1.52', 'MinAPIVersion': '1.44'})
        self.assertEqual('c1', found.inspect('database').id)

    def test_an_engine_that_was_exchanged_meanwhile_is_asked_anew(self):
        found = self.engine(
            {
                'GET /containers/database/json': [
                    answer(CONTAINER),
                    answer({'message': 'client version 1.40 is too old'}, '400 Bad Request'),
                ],
                'GET /v1.44/containers/database/json': answer(CONTAINER),
            }
        )
        found.inspect('database')
        self.fake.offered = answer({'ApiVersion': '1.52', 'MinAPIVersion': '1.44'})
        self.assertRaises(errors.EngineError, found.inspect, 'database')
        self.assertEqual('c1', found.inspect('database').id)

    def test_what_an_engine_offers_is_believed_only_as_far_as_it_is_a_version(self):
        for offered in (
            None,
            [],
            {},
            {'MinAPIVersion': None},
            {'MinAPIVersion': '1.44/../x'},
            {'MinAPIVersion': '1.' + '9' * 99},
            {'MinAPIVersion': '1.24'},
        ):
            self.assertEqual(http.USUAL, http.spoken(offered))
        self.assertEqual('1.44', http.spoken({'MinAPIVersion': '1.44'}))
        self.assertEqual('2.0', http.spoken({'MinAPIVersion': '2.0'}))

    def test_an_engine_without_an_answer_of_use_is_spoken_to_as_usual(self):
        found = self.engine({'GET /containers/database/json': answer(CONTAINER)})
        self.fake.offered = answer({'message': 'page not found'}, '404 Not Found')
        self.assertEqual('c1', found.inspect('database').id)


class ImageDirectoryTest(EngineTestCase):
    """Room for an image is wanted where the engine writes it."""

    CONTAINERD = [['driver-type', 'io.containerd.snapshotter.v1']]

    def directory(self, **told):
        return str(self.engine({'GET /info': answer(told)}).image_directory())

    def test_an_engine_with_a_store_of_its_own_writes_below_its_root(self):
        self.assertEqual(
            '/srv/docker',
            self.directory(
                Driver='overlay2',
                DriverStatus=[['Backing Filesystem', 'extfs']],
                DockerRootDir='/srv/docker',
            ),
        )
        self.assertEqual('/var/lib/docker', self.directory(Driver='vfs', DriverStatus=None))
        self.assertEqual('/var/lib/docker', self.directory())

    def test_an_engine_with_containerds_store_writes_below_containerds(self):
        service, own = (
            '/run/containerd/containerd.sock',
            '/var/run/docker/containerd/containerd.sock',
        )
        self.assertEqual(
            '/var/lib/containerd',
            self.directory(DriverStatus=self.CONTAINERD, Containerd={'Address': service}),
        )
        self.assertEqual(
            '/srv/d/containerd/daemon',
            self.directory(
                DriverStatus=self.CONTAINERD, DockerRootDir='/srv/d', Containerd={'Address': own}
            ),
        )

    def test_an_engine_that_does_not_tell_which_containerd_has_its_own_where_there_is_one(self):
        root = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        self.assertEqual(
            '/var/lib/containerd',
            self.directory(DriverStatus=self.CONTAINERD, DockerRootDir=str(root)),
        )
        (root / 'containerd/daemon').mkdir(parents=True)
        self.assertEqual(
            f'{root}/containerd/daemon',
            self.directory(DriverStatus=self.CONTAINERD, DockerRootDir=str(root)),
        )

    def test_an_answer_of_another_form_is_none(self):
        for told in ([], {'DriverStatus': [None]}, {'Containerd': 'x'}):
            found = self.engine({'GET /info': answer(told)})
            self.assertEqual(
                'ENGINE_NOT_ANSWERING',
                self.assertRaises(errors.EngineNotAnswering, found.image_directory).code,
            )


class OddAnswersTest(EngineTestCase):
    def assert_silent(self, raw, **limits):
        found = self.engine({'GET /containers/database/json': raw}, limits=limits)
        error = self.assertRaises(errors.EngineNotAnswering, found.inspect, 'database')
        self.assertEqual('ENGINE_NOT_ANSWERING', error.code)
        return error

    def test_no_socket_is_an_engine_that_does_not_answer(self):
        found = engine.DockerEngine(
            http.UnixTransport(pathlib.Path('/nonexistent/docker.sock')), SystemClock()
        )
        self.assertFalse(found.ping())
        self.assertRaises(errors.EngineNotAnswering, found.inspect, 'database')

    def test_an_engine_that_says_nothing_costs_the_time_that_was_given(self):
        self.assertIn('within 0 s', self.assert_silent(None, short=0.1).message)

    def test_an_engine_that_dies_in_the_middle_is_no_answer(self):
        self.assert_silent(answer(CONTAINER, length=100000))
        self.assert_silent(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\n{"Id"')
        self.assert_silent(b'')

    def test_garbage_is_no_answer(self):
        self.assert_silent(b'\x00\x01garbage\r\n\r\n')
        self.assert_silent(answer(b'<html>'))
        self.assert_silent(answer([1, 2]))
        self.assert_silent(answer({'State': None}))

    def test_a_huge_answer_is_not_read_to_its_end(self):
        self.assertIn('more than', self.assert_silent(answer(b' ' * ((16 << 20) + 1))).message)

    def test_words_of_an_engine_that_refuses_are_kept_short_and_on_one_line(self):
        found = self.engine(
            {
                'POST /containers/database/update': answer(
                    {'message': 'no\nspace ' + 'x' * 5000}, '500 Oops'
                )
            }
        )
        error = self.assertRaises(errors.EngineRefused, found.set_restart_policy, 'database', 'no')
        self.assertIn('500, no space xxx', error.message)
        self.assertLess(len(error.message), 800)


class ContainersTest(EngineTestCase):
    def test_a_container_without_policy_and_health_check_has_none(self):
        found = self.engine({'GET /containers/database/json': answer(CONTAINER)}).inspect(
            'database'
        )
        self.assertEqual(
            ('no', None, True, None),
            (found.restart_policy, found.health, found.running, found.exit_code),
        )

    def test_the_exit_code_is_of_a_container_that_has_ended(self):
        ended = {
            **CONTAINER,
            'State': {
                'Status': 'exited',
                'Running': False,
                'ExitCode': 137,
                'Health': {'Status': 'unhealthy'},
            },
        }
        found = self.engine({'GET /containers/database/json': answer(ended)})
        self.assertEqual(
            (137, 'unhealthy'),
            (found.inspect('database').exit_code, found.inspect('database').health),
        )
        self.assertEqual(137, found.wait('database', 5, None))

    def test_waiting_tells_of_it_and_ends_in_time(self):
        told = []
        found = self.engine({'GET /containers/database/json': answer(CONTAINER)})
        self.assertRaises(
            TimeoutError, found.wait, 'database', 0.2, lambda percent, text: told.append(text)
        )
        self.assertEqual(['Container database is running'], told)

    def test_a_container_that_goes_while_it_is_waited_for_is_told_apart_from_one_that_ended(self):
        found = self.engine({})
        self.assertRaises(errors.ContainerNotFound, found.wait, 'database', 5, None)

    def test_what_is_done_already_is_no_error(self):
        found = self.engine(
            {
                'POST /containers/database/start': answer(b'', '304 Not Modified'),
                'POST /containers/database/stop': answer(b'', '304 Not Modified'),
                'POST /containers/database/kill': answer(
                    {'message': 'is not running'}, '409 Conflict'
                ),
            }
        )
        for change in (found.start, lambda name: found.stop(name, 5), found.kill, found.remove):
            change('database')

    def test_a_missing_image_and_a_container_that_cannot_be_made_are_told_apart(self):
        for status, kind, code in (
            ('404 Not Found', errors.ContainerImageNotFound, 'CONTAINER_IMAGE_NOT_FOUND'),
            ('409 Conflict', errors.ContainerFailed, 'CONTAINER_FAILED'),
        ):
            found = self.engine({'POST /containers/create': answer({'message': 'said'}, status)})
            self.assertEqual(
                code,
                self.assertRaises(
                    kind, found.create, 'database', {'Config': {'Image': 'mariadb:11.8'}}
                ).code,
            )

    def test_a_throwaway_is_removed_whatever_happens(self):
        found = self.engine(
            {
                'GET /containers/json': answer([]),
                'POST /containers/create': answer({'Id': 'x'}, '201 Created'),
            }
        )
        self.assertRaises(
            errors.ContainerNotFound,
            found.run_throwaway,
            'mariadb:11.8',
            ['true'],
            user='1001',
            timeout_seconds=1,
        )
        self.assertTrue(self.fake.asked[-1].startswith('DELETE /containers/trove-upgrade-'))

    def test_throwaways_of_an_agent_that_was_killed_are_removed_first_and_others_stay(self):
        others = [{'Id': 'old', 'Labels': {throwaway.THROWAWAY: 'another'}}]
        found = self.engine(
            {
                'GET /containers/json': answer(others),
                'DELETE /containers/old': answer(b'', '204 No Content'),
            }
        )
        self.assertRaises(
            errors.ContainerImageNotFound,
            found.run_throwaway,
            'mariadb:11.8',
            ['true'],
            user='1001',
            timeout_seconds=1,
        )
        self.assertIn('DELETE /containers/old', self.fake.asked)


class ExecTest(EngineTestCase):
    def answers(self, stream, state=None):
        return {
            'POST /containers/database/exec': answer({'Id': 'e1'}, '201 Created'),
            'POST /exec/e1/start': stream,
            'GET /exec/e1/json': answer(state or {'Running': False, 'ExitCode': 3, 'Pid': 0}),
        }

    def test_both_outputs_come_as_one_line_by_line(self):
        told = []
        found = self.engine(
            self.answers(STREAM + frame('one\ntw') + frame('o\n', 2) + frame('three'))
        )
        finished = found.exec('database', ['x'], timeout_seconds=5, on_line=told.append)
        self.assertEqual(
            (3, 'one\ntwo\nthree', ['one', 'two', 'three']),
            (finished.return_code, finished.output, told),
        )

    def test_what_is_no_output_of_a_container_is_not_taken_for_one(self):
        self.assertRaises(
            errors.EngineNotAnswering,
            self.engine(self.answers(STREAM + b'garbage that is long enough')).exec,
            'database',
            ['x'],
            timeout_seconds=5,
        )

    def test_a_program_without_an_exit_code_has_not_ended_well(self):
        found = self.engine(
            self.answers(STREAM + frame('x'), {'Running': True, 'ExitCode': None, 'Pid': 0})
        )
        self.assertRaises(
            errors.EngineNotAnswering, found.exec, 'database', ['x'], timeout_seconds=5
        )

    def process_in(self, container):
        process = subprocess.Popen(['sleep', '60'])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        processes = pathlib.Path(self.useFixture(fixtures.TempDir()).path)
        (processes / str(process.pid)).mkdir()
        (processes / str(process.pid) / 'cgroup').write_text(f'4:memory:/docker/{container}\n')
        return process, processes

    def overdue(self, container):
        process, processes = self.process_in('c1')
        state = {'Running': True, 'ExitCode': None, 'Pid': process.pid, 'ContainerID': container}
        found = self.engine(self.answers(None, state), processes=processes)
        self.assertRaises(
            TimeoutError, found.exec, 'database', ['mariadb-upgrade'], timeout_seconds=0.2
        )
        return process

    def test_a_program_that_takes_too_long_is_killed(self):
        self.assertEqual(-9, self.overdue('c1').wait(10))

    def test_a_process_that_is_not_the_containers_is_never_killed(self):
        self.assertIsNone(self.overdue('c2').poll())

    def test_whatever_a_listener_raises_ends_the_program_and_goes_through(self):
        process, processes = self.process_in('c1')

        def complain(_line):
            raise OSError('the deadline has passed')

        found = self.engine(
            self.answers(
                STREAM + frame('x\n'), {'Running': True, 'Pid': process.pid, 'ContainerID': 'c1'}
            ),
            processes=processes,
        )
        self.assertRaisesRegex(
            OSError,
            'the deadline',
            found.exec,
            'database',
            ['x'],
            timeout_seconds=5,
            on_line=complain,
        )
        self.assertEqual(-9, process.wait(10))


class PullTest(EngineTestCase):
    def pull(self, *lines, image=True, **kwargs):
        raw = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n' + b''.join(
            line if isinstance(line, bytes) else json.dumps(line).encode() + b'\r\n'
            for line in lines
        )
        found = self.engine(
            {
                'POST /images/create': raw,
                'GET /images/r:5000/mariadb:11.8/json': answer(IMAGE)
                if image
                else answer({'message': 'no'}, '404 Not Found'),
            },
            **kwargs,
        )
        self.told = []
        found.pull('r:5000/mariadb:11.8', lambda percent, text: self.told.append(text))

    def test_its_progress_is_told(self):
        self.pull(
            {'status': 'Pulling from mariadb', 'id': '11.8'},
            {'status': 'Downloading', 'progressDetail': {'current': 5 << 20, 'total': 9 << 20}},
            {'status': 'x', 'progressDetail': {}},
        )
        self.assertEqual(
            'Image r:5000/mariadb:11.8: 5 of 9 MiB of a layer, Downloading', self.told[1]
        )

    def test_an_error_in_the_middle_of_an_answer_that_began_well_is_an_error(self):
        self.assertRaises(
            errors.ImageNotPulled,
            self.pull,
            {'status': 'Downloading'},
            {'errorDetail': {'message': 'no space left'}, 'error': 'no space left'},
        )
        self.assertRaises(
            errors.ContainerImageNotFound,
            self.pull,
            {'error': 'manifest for r:5000/mariadb:11.8 not found: manifest unknown'},
        )

    def test_an_engine_that_ends_without_the_image_has_not_pulled_it(self):
        self.assertRaises(errors.ImageNotPulled, self.pull, {'status': 'Downloading'}, image=False)

    def test_lines_that_nobody_understands_are_an_error_and_empty_ones_are_none(self):
        self.pull(b'\r\n')
        for line in (b'{"status"\r\n', b'[1]\r\n', b'x' * 200000):
            self.assertRaises(errors.ImageNotPulled, self.pull, line)

    def test_a_pull_that_hangs_ends_in_time(self):
        found = self.engine({'POST /images/create': None}, limits={'pull': 0.1})
        self.assertRaises(errors.ImageNotPulled, found.pull, 'mariadb:11.8', None)

    def test_a_deadline_of_the_job_goes_through(self):
        def complain(_percent, _text):
            raise errors.ContainerFailed('too late')

        found = self.engine({'POST /images/create': STREAM + b'{"status": "x"}\n'})
        self.assertRaises(errors.ContainerFailed, found.pull, 'mariadb:11.8', complain)


class LoginTest(EngineTestCase):
    """User and password go to the registry that they are for."""

    def logins(self, address, image):
        repository = image.rpartition(':')[0]
        published = f'GET /distribution/{image}/json'
        found = self.engine(
            {
                'POST /images/create': STREAM,
                f'GET /images/{image}/json': answer(IMAGE),
                published: answer({}),
            },
            login=RegistryLogin(address, 'puller', 'secret of the registry'),
        )
        found.pull(image, lambda *_: None)
        self.assertTrue(found.is_published(image), repository)
        return self.fake.logins[0], self.fake.logins[-1]

    def test_the_registry_of_the_login_gets_it_with_pulls_and_questions(self):
        for address, image in {
            'r:5000': 'r:5000/mariadb:11.8',
            'https://r.example': 'r.example/team/mariadb:1',
            'http://R.Example/v2/': 'r.example/mariadb:1',
            'https://index.docker.io/v1/': 'mariadb:11.8',
            'docker.io': 'index.docker.io/team/mariadb:1',
        }.items():
            login = {
                'username': 'puller',
                'password': 'secret of the registry',
                'serveraddress': address,
            }
            self.assertEqual((login, login), self.logins(address, image), image)

    def test_no_other_registry_gets_it(self):
        for image in (
            'evil.example/mariadb:11.8',
            'mariadb:11.8',
            'r.example:5000/mariadb:1',
            'r.example.evil.example/mariadb:1',
            'evil.example/r.example/mariadb:1',
            'xr.example/mariadb:1',
            'localhost/mariadb:1',
        ):
            self.assertEqual((None, None), self.logins('https://r.example', image), image)

    def test_a_login_does_not_show_its_password(self):
        self.assertNotIn(
            'secret', repr(RegistryLogin('r.example', 'puller', 'secret of the registry'))
        )


class OutputTest(base.TestCase):
    def test_frames_may_be_cut_anywhere(self):
        raw = frame('one') + frame('') + frame('two', 2)
        self.assertEqual(
            b'onetwo', b''.join(output.unframed(raw[i : i + 1] for i in range(len(raw))))
        )

    def test_only_the_end_of_a_long_output_is_kept_and_long_lines_come_in_parts(self):
        told = []
        tail = output.Tail(10, told.append)
        tail.take([('ä' * 40000).encode()])
        self.assertEqual(('ä' * 5, 2), (tail.text, len(told)))


class DefinitionsTest(base.TestCase):
    def test_what_a_container_has_of_its_image_is_left_to_the_next_image(self):
        image = {'Env': ['PATH=/bin', 'MARIADB_VERSION=10.11'], 'Cmd': ['mariadbd'], 'Labels': None}
        made = {
            'Id': 'abcdef123456789',
            'Config': {
                'Hostname': 'abcdef123456',
                'Env': ['MYSQL_ROOT_PASSWORD=x', 'PATH=/bin', 'MARIADB_VERSION=10.11'],
                'Cmd': ['mariadbd'],
            },
        }
        kept = definitions.without_image_defaults(made, image)['Config']
        self.assertEqual({'Env': ['MYSQL_ROOT_PASSWORD=x']}, kept)

    def test_what_is_given_wins_and_none_leaves_a_name_out(self):
        made = {
            'Config': {
                'Image': 'a:1',
                'Env': ['A=1', 'B=2'],
                'Cmd': ['x'],
                'ExposedPorts': {'3306/tcp': {}},
            },
            'HostConfig': {
                'Binds': ['/a:/b'],
                'NetworkMode': 'bridge',
                'PortBindings': {'3306/tcp': [{'HostPort': '3306'}]},
                'Privileged': True,
            },
        }
        body = definitions.creation(
            made,
            image='a:2',
            command=['y'],
            env={'B': None, 'C': '3'},
            network='none',
            restart='no',
        )
        self.assertEqual(('a:2', ['y'], ['A=1', 'C=3']), (body['Image'], body['Cmd'], body['Env']))
        self.assertEqual(
            {
                'Binds': ['/a:/b'],
                'NetworkMode': 'none',
                'Privileged': True,
                'RestartPolicy': {'Name': 'no'},
            },
            body['HostConfig'],
        )

    def test_fixed_addresses_on_a_network_of_its_own_are_kept(self):
        made = {
            'Config': {'Image': 'a:1'},
            'HostConfig': {'NetworkMode': 'database'},
            'NetworkSettings': {
                'Networks': {'database': {'IPAMConfig': {'IPv4Address': '10.0.0.5'}}}
            },
        }
        self.assertEqual(
            {'EndpointsConfig': {'database': {'IPAMConfig': {'IPv4Address': '10.0.0.5'}}}},
            definitions.creation(made)['NetworkingConfig'],
        )
