# SPDX-License-Identifier: Apache-2.0
"""The oldest guest image that can still be built: Debian's mirrors drop releases."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from lab import errors
from lab.images import recipes
from lab.images.builder import BuiltImage, ImageBuilder


@dataclasses.dataclass(frozen=True, kw_only=True)
class OldImages:
    """Images of old guests, one for each init, of the same release of Debian."""

    sysv: BuiltImage
    systemd: BuiltImage
    stands_in: bool  #: the same agent on a newer Debian, because bullseye could not be fetched


def build(builder: ImageBuilder, tell: Callable[[str], None]) -> OldImages:
    """Both images of bullseye; of bookworm, with a loud word about it, where no mirror has that.

    :raises errors.CommandFailed: neither can be built.
    """
    recipe = recipes.OLD_BULLSEYE
    try:
        builder.fetch(recipe)
        builder.fetch(recipe.with_systemd())
    except errors.CommandFailed as error:
        recipe = recipes.OLD_BOOKWORM
        tell(
            f'NO OLD GUESTS: Debian {recipes.OLD_BULLSEYE.suite} could not be fetched. The same '
            f'old agent runs on {recipe.suite} instead, under Python 3. Cause: {error}'
        )
    else:
        tell(f'Old guests are Debian {recipe.suite} with Python 2.7.')
    return OldImages(
        sysv=builder.build(recipe),
        systemd=builder.build(recipe.with_systemd()),
        stands_in=recipe is recipes.OLD_BOOKWORM,
    )
