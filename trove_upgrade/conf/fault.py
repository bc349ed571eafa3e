# SPDX-License-Identifier: Apache-2.0
"""Faults of a configuration, in words that do not repeat it."""

import re

from oslo_config import cfg

from trove_upgrade.domain import exceptions

#: As oslo.config names the file of a value.
_LOCATION = re.compile(r"from LocationInfo\(.*, detail='([^']*)'\)")


class ConfigurationInvalid(exceptions.TroveUpgradeError):
    """A file or a value of the configuration cannot be read."""

    code = 'CONFIGURATION_INVALID'
    template = 'The configuration cannot be read: {found}. Mend it and start again.'


def describe(error: cfg.Error) -> str:
    """Describe a fault without the line or the value that oslo.config names: it may be the one with
    the password.
    """
    if isinstance(error, cfg.ConfigFileParseError):
        return str(error).partition(": '")[0]
    if isinstance(error, cfg.NoSuchOptError | cfg.TemplateSubstitutionError):
        return (
            'a value holds a "$" that begins the name of no option; a "$" of its own, as in a '
            'password, is written as "$$"'
        )
    if isinstance(error, cfg.ConfigSourceValueError):  # of a file, or of the environment
        text = str(error).partition(' is not valid: ')[0]
        return _LOCATION.sub(r'in \1', text) + ' is not valid'
    return str(error).rstrip('.')
