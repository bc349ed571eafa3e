# SPDX-License-Identifier: Apache-2.0
"""The kind that cloud-init takes a part for: by its declared type, or by how its content begins."""

import enum

#: A part without a type of its own; its content decides.
UNDECLARED = 'text/plain'

#: Types that say nothing: cloud-init looks at the content.  A script has to begin with "#!".
#: Source: cloudinit/user_data.py, TYPE_NEEDED and _process_msg.
_UNTOLD = frozenset({UNDECLARED, 'text/x-not-multipart', 'text/x-shellscript'})

#: Source: cloudinit/user_data.py, DECOMP_TYPES.
_COMPRESSED = frozenset(
    f'application/{name}'
    for name in (
        'gzip',
        'gzip-compressed',
        'gzipped',
        'x-compress',
        'x-compressed',
        'x-gunzip',
        'x-gzip',
        'x-gzip-compressed',
    )
)


class Kind(enum.StrEnum):
    """The type that a handler of cloud-init is found by."""

    CLOUD_CONFIG = 'text/cloud-config'
    ARCHIVE = 'text/cloud-config-archive'
    PATCH = 'text/cloud-config-jsonp'
    TEMPLATE = 'text/jinja2'
    INCLUDE = 'text/x-include-url'
    INCLUDE_ONCE = 'text/x-include-once-url'
    SCRIPT = 'text/x-shellscript'
    BOOTHOOK = 'text/cloud-boothook'
    PART_HANDLER = 'text/part-handler'
    OTHER = ''  #: a type that this module has no use for, or none at all


#: Fetched from an address at each first boot: the user data does not hold it.
INCLUDES = frozenset({Kind.INCLUDE, Kind.INCLUDE_ONCE})

#: Longest first: one is the beginning of another.  Source: cloudinit/handlers/__init__.py,
#: INCLUSION_TYPES_MAP.
_BEGINNINGS = (
    ('#cloud-config-archive', Kind.ARCHIVE),
    ('#cloud-config-jsonp', Kind.PATCH),
    ('## template: jinja', Kind.TEMPLATE),
    ('#cloud-boothook', Kind.BOOTHOOK),
    ('#include-once', Kind.INCLUDE_ONCE),
    ('#cloud-config', Kind.CLOUD_CONFIG),
    ('#part-handler', Kind.PART_HANDLER),
    ('#include', Kind.INCLUDE),
    ('#!', Kind.SCRIPT),
)


def is_compressed(declared: str) -> bool:
    """Tell whether a part of this type is unpacked first; its content decides then."""
    return declared in _COMPRESSED


def by_content(content: bytes) -> Kind | None:
    """Return the kind that the beginning of `content` tells; None where it tells none."""
    try:
        text = content.decode().lower().lstrip()
    except UnicodeDecodeError:
        return None
    return next((kind for beginning, kind in _BEGINNINGS if text.startswith(beginning)), None)


def declared_as(declared: str) -> Kind:
    """Return the kind of a part by its declared type alone, whatever it holds."""
    return Kind(declared) if declared in set(Kind) else Kind.OTHER


def of_part(declared: str, content: bytes) -> Kind:
    """Return the kind of a part of this type with this content."""
    told = by_content(content) if declared in _UNTOLD else None
    return told or declared_as(declared)
