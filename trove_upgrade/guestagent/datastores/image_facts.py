# SPDX-License-Identifier: Apache-2.0
"""Facts that the build of an image has recorded on the root disk that it became.

The same document, loaded into the tables, is `domain.target_facts` of the upgrades that lead to
this image.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any, Self


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageFacts:
    """The facts that the agent reads of its own root disk.  None: the build did not record it."""

    server_version: str | None = None  #: of the server that is installed, e.g. 11.8.6
    database_runtime: str | None = None  #: service or container; another word counts as none
    option_groups: tuple[str, ...] = ()  #: groups of option files that the server reads

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read the document; facts that are not of their form count as not recorded, and those
        that the agent does not need are ignored.
        """
        version, runtime = document.get('server_version'), document.get('database_runtime')
        groups = document.get('option_groups')
        return cls(
            server_version=None if version is None else str(version),
            database_runtime=runtime if isinstance(runtime, str) else None,
            option_groups=tuple(
                group
                for group in (groups if isinstance(groups, list) else ())
                if isinstance(group, str)
            ),
        )
