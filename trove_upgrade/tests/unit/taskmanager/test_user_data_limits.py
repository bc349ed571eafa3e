# SPDX-License-Identifier: Apache-2.0
"""User data that was edited by hand, or to do harm: refused by its code with bounds on what is
read, never a traceback.
"""

import base64
import gzip
import re
import tracemalloc

import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from trove_upgrade.domain import exceptions
from trove_upgrade.domain.cloud_init import documents, limits, write_files
from trove_upgrade.taskmanager import guest_info, user_data
from trove_upgrade.tests.unit import base
from trove_upgrade.tests.unit.taskmanager.test_user_data import GUEST_INFO, cloud_config, render

#: Unpacked 20 MB.
_BOMB = gzip.compress(b'#cloud-config\n' + b'a: b\n' * 2**22)
_GUEST_INFO = {'path': '/etc/trove/conf.d/guest_info.conf', 'content': GUEST_INFO}


def config(text):
    return b'#cloud-config\n' + text


def archive(text):
    return b'#cloud-config-archive\n' + text


def message(*parts):
    """Each part is (headers, content)."""
    shown = b''.join(b'--B\n' + headers + b'\n\n' + content + b'\n' for headers, content in parts)
    return b'MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=B\n\n' + shown + b'--B--\n'


def entry(text):
    return config(b'write_files:\n- ' + text + b'\n')


def laughing(where):
    """Ten aliases of ten aliases ...: 10 ** 9 values in 400 bytes."""
    levels = b''.join(
        b'  - &l%d [%s]\n' % (level, b', '.join([b'*l%d' % (level - 1)] * 10))
        for level in range(1, 10)
    )
    return b'x:\n  - &l0 ha\n' + levels + where + b'\n'


def nested_message(depth):
    begin = b''.join(
        b'Content-Type: multipart/mixed; boundary=B%d\n\n--B%d\n' % (level, level)
        for level in range(depth)
    )
    return b'MIME-Version: 1.0\n' + begin + b'Content-Type: text/plain\n\nx\n'


#: What was meant -> user data that is refused.
REFUSED = {
    'a list as a path': entry(b'path: [a]'),
    'a mapping as a path': entry(b'path: {a: b}'),
    'a number as a path': entry(b'path: 7'),
    'a number of 5000 digits as a path': entry(b'path: 0x' + b'f' * 5000),
    'a moment as a path': entry(b'path: 2026-01-01'),
    'bytes as a path': entry(b'path: !!binary L2V0Yy9h'),
    'truth as a path': entry(b'path: true'),
    'a line feed in a path': entry(rb'path: "/etc/a\nb"'),
    'NUL in a path': entry(rb'path: "/etc/a\0"'),
    'a terminal escape in a path': entry(rb'path: "/etc/\e[2J"'),
    'C1 in a path': entry(rb'path: "/etc/\x9b"'),
    'half a surrogate in a path': entry(rb'path: "/etc/\ud800"'),
    'a path of 5000 characters': entry(b'path: /' + b'a' * 5000),
    'a list as a path, in a message': message(
        (b'Content-Type: text/cloud-config', entry(b'path: [a]'))
    ),
    'a list as a path, in an archive': archive(
        b'- content: |\n    #cloud-config\n    write_files:\n    - path: [a]\n'
    ),
    'a list as a path, in a template': b'## template: jinja\n' + entry(b'path: [a]'),
    'a list as a path, compressed': gzip.compress(entry(b'path: [a]')),
    'a gzip without end': _BOMB,
    'a gzip without end as a part': message(
        (
            b'Content-Type: application/gzip\nContent-Transfer-Encoding: base64',
            base64.b64encode(_BOMB),
        )
    ),
    'a gzip without end as a file': entry(
        b'{path: /etc/a, encoding: gz+b64, content: ' + base64.b64encode(_BOMB) + b'}'
    ),
    'a gzip of many members': gzip.compress(b'\0' * 2**17) * 40,
    'many files that are long unpacked': config(
        b'x: &x '
        + base64.b64encode(gzip.compress(b'a' * 250_000))
        + b'\nwrite_files:\n'
        + b''.join(
            b'- {path: /%d, encoding: gz+b64, content: *x}\n' % number for number in range(9)
        )
    ),
    'aliases of aliases': config(laughing(b'y: *l9')),
    'aliases of aliases as a path': config(laughing(b'write_files: [{path: *l9}]')),
    'aliases of aliases as a content': config(laughing(b'write_files: [{path: /a, content: *l9}]')),
    'aliases of aliases as a command': config(laughing(b'runcmd: *l9')),
    'aliases of aliases in an archive': archive(
        b'- &l0 [a]\n'
        + b''.join(
            b'- &l%d [%s]\n' % (level, b', '.join([b'*l%d' % (level - 1)] * 10))
            for level in range(1, 10)
        )
    ),
    'a list in itself': config(b'write_files: &w [*w]'),
    'a document in itself': config(b'x: &x [1, *x]'),
    'a mapping in itself': config(b'x: &x {y: *x}'),
    'a key in itself': config(b'? &x !!set {a}\n: *x\nx: &y [*y]'),
    'lists a thousand deep': config(b'x: ' + b'[' * 1000 + b']' * 1000),
    'mappings a thousand deep': config(b'x: ' + b'{a: ' * 1000 + b'1' + b'}' * 1000),
    'lists of 40 levels': config(b'x: ' + b'[' * 40 + b']' * 40),
    'an archive a thousand deep': archive(b'- ' + b'[' * 1000 + b']' * 1000),
    'a long number': config(b'x: 0x' + b'f' * 5000),
    'a longer number': config(b'x: ' + b'1' * 5000),
    'one that a tag does not fit': config(b'x: !!int ""'),
    'another': config(b'x: !!bool x'),
    'a third': config(b'x: !!timestamp x'),
    'a fourth': config(b'x: !!float ""'),
    'a list as a key': config(b'? [a]\n: b'),
    'an object of Python': config(b'x: !!python/object/apply:os.system [id]'),
    'messages of 40 levels': nested_message(40),
    'messages of 400 levels': nested_message(400),
    'messages of 1000 levels': nested_message(1000),
    'a multipart without parts in a message': message(
        (b'Content-Type: multipart/mixed; boundary=C', 'dönner'.encode())
    ),
    'many parts': message(*[(b'Content-Type: text/plain', b'x')] * 600),
    'an archive of many parts': archive(b'- x\n' * 600),
    'half a surrogate in an archive': archive(rb'- "\ud800"'),
    'a part of ours that is no cloud-config': archive(
        b'- {filename: trove-upgrade-marker.txt, content: "x: ["}'
    ),
    'a name of a part that is none': message(
        (
            (
                b'Content-Type: text/plain\n'
                b"Content-Disposition: attachment; filename*=x'y'%ff; filename*0*=a"
            ),
            b'x',
        )
    ),
    'write_files that is a text': config(b'write_files: a'),
    'write_files of texts': config(b'write_files: [a]'),
    'write_files that is a mapping': config(b'write_files: {a: b}'),
    'plain text as gz': entry(b'{path: /a, encoding: gz, content: plain}'),
    'plain text as gzip, in capitals': entry(b'{path: /a, encoding: " GZip ", content: plain}'),
    'base64 of plain text as gz+b64': entry(b'{path: /a, encoding: gz+b64, content: cGxhaW4=}'),
    'base64 of a gzip as gz': entry(
        b'{path: /a, encoding: gz, content: ' + base64.b64encode(gzip.compress(b'a')) + b'}'
    ),
    'a gzip that was cut': entry(
        b'{path: /a, encoding: gz+b64, content: '
        + base64.b64encode(gzip.compress(b'a')[:-3])
        + b'}'
    ),
    'a gzip and more': entry(
        b'{path: /a, encoding: gz+b64, content: '
        + base64.b64encode(gzip.compress(b'a') + b'more')
        + b'}'
    ),
    'base64 without its end': entry(b'{path: /a, encoding: b64, content: YWJ}'),
    'base64 of another language': entry('{path: /a, encoding: b64, content: dönner}'.encode()),
    'a number as base64': entry(b'{path: /a, encoding: base64, content: 1234}'),
    'plain text as gz, at an address': entry(
        b'{path: /a, encoding: gz, content: a, source: {uri: "http://192.0.2.1"}}'
    ),
    'plain text as gz, in a template': b'## template: jinja\n'
    + entry(b'{path: /a, encoding: gz, content: plain}'),
    'plain text as gz, in a message': message(
        (b'Content-Type: text/cloud-config', entry(b'{path: /a, encoding: gz, content: a}'))
    ),
    'a content that is a list': entry(b'{path: /a, content: [a, b]}'),
    'a content that is a number': entry(b'{path: /a, content: 7}'),
    'a content that is truth': entry(b'{path: /a, content: yes}'),
    'a content that is a moment': entry(b'{path: /a, content: 2026-01-01}'),
    'a content in half a surrogate': entry(rb'{path: /a, content: "\ud800"}'),
    'an encoding that is a list': entry(b'{path: /a, encoding: [a], content: b}'),
    'an encoding that is a number': entry(b'{path: /a, encoding: 64, content: b}'),
    'a source that is a text': entry(b'{path: /a, content: b, source: "http://192.0.2.1"}'),
    'an owner that is a number': entry(b'{path: /a, content: b, owner: 1000}'),
    'permissions without an end': entry(b'{path: /a, content: b, permissions: .inf}'),
    'permissions of many digits': entry(
        b'{path: /a, content: b, permissions: "' + b'7' * 30 + b'"}'
    ),
    'guest_info in half a surrogate': entry(rb'{path: /etc/guest_info.conf, content: "\ud800"}'),
}

#: What was meant -> user data that is odd and can be sent again.
TAKEN = {
    'keys that are no texts': config(b'1: a\ntrue: b\nnull: c\n2026-01-01: d\n1.5: e'),
    'no path': entry(b'content: a'),
    'an empty path': entry(b'{path: "", content: a}'),
    'a path of null': entry(b'{path: null, content: a}'),
    'an unfit content without a path': entry(b'{encoding: gz, content: plain}'),
    'an encoding without a content': entry(b'{path: /a, encoding: gz}'),
    'a gzip of nothing': entry(b'{path: /a, encoding: gz, content: ""}'),
    'base64 with spaces and lines': entry(rb'{path: /a, encoding: b64, content: "YW Jj\nZGVm"}'),
    'permissions that cannot be read': entry(b'{path: /a, content: b, permissions: [a]}'),
    'permissions that are no number': entry(b'{path: /a, content: b, permissions: .nan}'),
    'no owner and no source': entry(
        b'{path: /a, content: b, owner: null, source: null, encoding: null}'
    ),
    'a content that is bytes': entry(b'{path: /a, content: !!binary /w==}'),
    'entries with keys that are no texts': entry(b'{1: 2, path: /a, null: 3}'),
    'a space and letters of any language in a path': entry('path: /etc/a b/dönner 数据'.encode()),
    'aliases that are few': config(b'x: &x {a: b}\ny: *x\nz: *x'),
    'a part of ours that holds nothing': archive(b'- {filename: trove-upgrade-marker.txt}'),
    'a part of ours that holds a list': archive(
        b'- {filename: trove-upgrade-marker.txt, content: [a]}'
    ),
    'entries of an archive that are nothing': archive(
        b'- null\n- 1\n- [a]\n- {}\n- {content: [a]}\n- {content: null, type: 7}'
    ),
    'lists of 20 levels': config(b'x: ' + b'[' * 20 + b']' * 20),
    'messages of 5 levels': nested_message(5),
    'a type that is none': message((b'Content-Type: ;;=\nContent-Transfer-Encoding: \xff', b'x')),
    'runcmd that is odd': config(b'runcmd: [1, null, [2, null], {a: b}]\nbootcmd: {a: b}'),
}


class TestEdited(base.TestCase):
    def test_what_cannot_be_read_is_refused_by_its_code(self):
        for name, text in REFUSED.items():
            with self.subTest(name):
                refused = self.assertRaises(exceptions.StepRefused, render, text)
                self.assertEqual('USER_DATA_UNREADABLE', refused.code)
                self.assertEqual([], re.findall(r'[\x00-\x1f\x7f-\x9f\ud800-\udfff]', str(refused)))
                self.assertLess(len(str(refused)), 1000)

    def test_it_is_refused_with_guest_info_in_it_too(self):
        """As an edit leaves it: beside what Trove wrote."""
        for edit in ({'path': ['a']}, {'path': 'a\nb'}, {'path': {'a': 1}}, {'path': True}):
            refused = self.assertRaises(
                exceptions.StepRefused, render, cloud_config(_GUEST_INFO, edit)
            )
            self.assertEqual('USER_DATA_UNREADABLE', refused.code)

    def test_what_is_only_odd_is_sent_again(self):
        for name, text in TAKEN.items():
            with self.subTest(name):
                rendered = render(text)
                self.assertIn(user_data.MARKER_PATH, documents.files(rendered))
                self.assertEqual(documents.files(rendered), documents.files(render(rendered)))
                user_data.overwritten(text, rendered)

    def test_memory_does_not_grow_with_what_a_bomb_holds(self):
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for name in (
            'a gzip without end',
            'a gzip without end as a file',
            'aliases of aliases as a path',
        ):
            tracemalloc.reset_peak()
            self.assertRaises(exceptions.StepRefused, render, REFUSED[name])
            self.assertLess(tracemalloc.get_traced_memory()[1], 16 * 2**20, name)

    @settings(max_examples=200, deadline=None)
    @given(
        text=st.sampled_from(
            [*TAKEN.values(), *(each for each in REFUSED.values() if len(each) < 2000)]
        ),
        position=st.floats(0, 1, exclude_max=True),
        put=st.binary(max_size=6)
        | st.sampled_from([b'\n', b'&a ', b'*a', b'[', b'{', b'!!set ', b'--B\n', b'\xc2\x85']),
    )
    @example(text=TAKEN['no path'], position=0.99, put=b'\0')
    @example(text=TAKEN['a type that is none'], position=0.375, put=b'\x0b')
    def test_whatever_is_put_into_it_the_only_error_is_a_refusal(self, text, position, put):
        place = int(position * len(text))
        edited = text[:place] + put + text[place + len(put) // 2 :]
        try:
            rendered = render(edited)
        except exceptions.StepRefused as refused:
            self.assertRegex(refused.code, '^USER_DATA_')
        else:
            self.assertIn(user_data.MARKER_PATH, documents.files(rendered))


class TestDecompressed(base.TestCase):
    @given(
        members=st.lists(st.binary(max_size=200), min_size=1, max_size=4), padding=st.integers(0, 3)
    )
    def test_it_is_what_gzip_has_packed(self, members, padding):
        packed = b''.join(map(gzip.compress, members)) + b'\0' * padding
        self.assertEqual(b''.join(members), limits.decompressed(packed))

    def test_the_bound_itself_is_read_and_one_more_is_not(self):
        most = b'a' * limits.MOST_BYTES
        self.assertEqual(most, limits.decompressed(gzip.compress(most)))
        self.assertRaises(limits.BeyondLimits, limits.decompressed, gzip.compress(most + b'a'))
        self.assertRaises(
            limits.BeyondLimits, limits.decompressed, gzip.compress(most) + gzip.compress(b'a')
        )

    def test_what_is_damaged_or_cut_is_unreadable_content(self):
        whole = gzip.compress(b'text')
        for damaged in (whole[:-1], whole[:5], whole[:-4] + b'junk', whole + b'junk', b'junk'):
            content = {'encoding': 'gz+b64', 'content': base64.b64encode(damaged).decode()}
            self.assertRaises(write_files.ContentUnreadable, write_files.content_of, content)


class TestCommands(base.TestCase):
    def test_a_line_of_many_arrows_is_read_once(self):
        """The time of the search grows with the line; of each arrow with the whole rest it would be
        hours.
        """
        line = '>' * 200_000 + ' guest_info'
        self.assertTrue(guest_info.is_written_by(line))
        for written in (
            'x >guest_info',
            'x >> /etc/guest_info.conf',
            'x 2>&1>"/etc/guest_info"',
            'x >a>guest_info',
        ):
            self.assertTrue(guest_info.is_written_by(written))

    def test_yaml_that_was_dumped_is_read_back(self):
        rendered = render(cloud_config(_GUEST_INFO))
        self.assertIn('write_files', yaml.safe_load(rendered))
