# SPDX-License-Identifier: Apache-2.0
"""YAML as PyYAML reads it for cloud-init, and for us."""

from typing import Any

import yaml

from trove_upgrade.domain.cloud_init import limits

#: What PyYAML's constructors run into where a tag and its text do not fit: `!!int ""`, `!!bool x`,
#: `!!timestamp x`.
_MISFITS = (ValueError, LookupError, AttributeError, TypeError, ArithmeticError)


class TextUnreadable(ValueError):
    """Text that is no YAML: cloud-init cannot read it, either."""


def load(text: bytes) -> Any:
    """Return what the YAML of a text holds.

    :raises TextUnreadable: it is none.
    :raises limits.BeyondLimits: it is more than is read.
    """
    try:
        document = yaml.safe_load(text)
    except RecursionError as error:
        raise limits.BeyondLimits('its YAML is nested too deeply') from error
    except (yaml.YAMLError, *_MISFITS) as error:
        raise TextUnreadable(' '.join(str(error).split())) from error
    limits.require_document(document)
    return document
