# SPDX-License-Identifier: Apache-2.0
"""Names of container images, as registries and engines read them."""

from hypothesis import assume, given
from hypothesis import strategies as st

from trove_upgrade.domain import image_reference
from trove_upgrade.domain.image_reference import ImageReference
from trove_upgrade.tests.unit import base

DIGEST = 'sha256:' + '0f' * 32
LONG = 'sha512:' + 'ab' * 64

_PART = st.from_regex(r'[a-z0-9]+(?:(?:\.|_|__|-{1,3})[a-z0-9]+){0,2}', fullmatch=True).filter(
    lambda part: len(part) <= 40
)
_REGISTRY = st.sampled_from(
    ['', 'localhost/', 'registry.example/', 'r:5000/', '10.0.0.1:5000/', '[::1]:5000/', 'REGISTRY/']
)
_TAG = st.from_regex(r'[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}', fullmatch=True)


class TestImageReference(base.TestCase):
    def test_a_reference_is_taken_apart_with_its_registry_s_port(self):
        for text, parts in {
            'mariadb': ('docker.io', 'library/mariadb', None, None),
            'mariadb:11.8': ('docker.io', 'library/mariadb', '11.8', None),
            'team/mariadb': ('docker.io', 'team/mariadb', None, None),
            'r:5000/a/b': ('r:5000', 'a/b', None, None),
            'r:5000/a:1.2': ('r:5000', 'a', '1.2', None),
            'localhost/a:1': ('localhost', 'a', '1', None),
            '10.0.0.1/a': ('10.0.0.1', 'a', None, None),
            '[2001:db8::1]:5000/a:1': ('[2001:db8::1]:5000', 'a', '1', None),
            f'a@{DIGEST}': ('docker.io', 'library/a', None, DIGEST),
            f'r.example/a:1.2@{LONG}': ('r.example', 'a', '1.2', LONG),
        }.items():
            found = ImageReference.parse(text)
            self.assertEqual(parts, (found.registry, found.path, found.tag, found.digest), text)

    def test_other_names_of_the_same_repository_are_one(self):
        names = (
            'mariadb',
            'library/mariadb',
            'docker.io/mariadb',
            'docker.io/library/mariadb',
            'index.docker.io/library/mariadb',
        )
        self.assertEqual(
            {'docker.io/library/mariadb'},
            {ImageReference.parse(f'{name}:1').repository for name in names},
        )
        self.assertEqual('r.example/a', ImageReference.parse('R.Example/a').repository)

    def test_repositories_that_only_look_alike_are_not_one(self):
        own = ImageReference.parse('r.example/team/mariadb:1').repository
        for other in (
            'r.example/team/mariadb2:1',
            'r.example/mariadb:1',
            'evil/r.example/team/mariadb:1',
            'r.example.evil/team/mariadb:1',
            'r.example:5000/team/mariadb:1',
            'team/mariadb:1',
            'r.example/team/mariadb/x:1',
            'r.example/team__mariadb:1',
        ):
            self.assertNotEqual(own, ImageReference.parse(other).repository, other)

    def test_a_digest_counts_and_the_tag_beside_it_does_not(self):
        self.assertEqual(
            f'r.example/a@{DIGEST}', ImageReference.parse(f'r.example/a:1.2@{DIGEST}').exact
        )
        self.assertEqual('a:latest', ImageReference.parse('a').exact)

    def test_what_no_registry_has_is_refused(self):
        for text in (
            '',
            ':',
            'a:',
            ':1',
            'a@',
            f'@{DIGEST}',
            'a@sha256:0f',
            f'a@{DIGEST}0',
            f'a@{DIGEST}\n',
            f'a@{DIGEST}@{DIGEST}',
            f'a@{DIGEST.upper()}',
            'a:1\n',
            'a\n:1',
            'a b:1',
            'A:1',
            'a/B:1',
            'a//b:1',
            '/a:1',
            'a/:1',
            '../a:1',
            'a/../b:1',
            'a:..',
            'a:-1',
            'a:1:2',
            'a:1/../b',
            'https://r.example/a:1',
            'user:word@r.example/a',
            'r.example:port/a:1',
            'a?x=1',
            'a:1&tag=2',
            'a%2fb:1',
            'a:' + '1' * 129,
            'a/' * 127 + 'a',
            'sehr-schön:1',
            'a:\uff11',
            '0f' * 32,
            'a\0:1',
            'a\u2028:1',
            'a.b_c/d:1',
        ):
            self.assertRaises(ValueError, ImageReference.parse, text)

    def test_what_is_no_text_is_refused(self):
        for value in (None, 1, ['a:1'], {'a': 1}, b'a:1'):
            self.assertRaises(ValueError, ImageReference.parse, value)
            self.assertFalse(image_reference.is_tag(value))

    def test_a_repository_has_neither_tag_nor_digest(self):
        self.assertEqual('r:5000/a', image_reference.repository_of('r:5000/a'))
        for text in ('a:1', f'a@{DIGEST}', 'r.example/'):
            self.assertRaises(ValueError, image_reference.repository_of, text)

    def test_the_address_of_a_login_means_a_registry(self):
        for address in (
            'https://index.docker.io/v1/',
            'docker.io',
            'registry-1.docker.io',
            ' index.docker.io/v1 ',
        ):
            self.assertEqual('docker.io', image_reference.registry_of(address))
        for address in (
            'r.example:5000',
            'http://r.example:5000',
            'https://R.Example:5000/v2/',
            'r.example:5000/team',
        ):
            self.assertEqual('r.example:5000', image_reference.registry_of(address))

    @given(_REGISTRY, st.lists(_PART, min_size=1, max_size=4), _TAG)
    def test_what_the_grammar_makes_is_read_and_what_is_read_is_stable(self, registry, parts, tag):
        # a first part with a dot is taken for a registry, and the name of none has an underscore
        assume(registry or len(parts) == 1 or not {'.', '_'} <= set(parts[0]))
        found = ImageReference.parse(f'{registry}{"/".join(parts)}:{tag}')
        self.assertEqual(tag, found.tag)
        again = ImageReference.parse(found.exact)
        self.assertEqual((found.repository, found.exact), (again.repository, again.exact))

    @given(st.text(max_size=60))
    def test_nothing_that_is_read_has_a_character_that_could_end_a_line_or_a_list(self, text):
        try:
            found = ImageReference.parse(text)
        except ValueError:
            return
        self.assertRegex(f'{found.name}{found.exact}', r'\A[A-Za-z0-9./:@_\[\]-]+\Z')
