# SPDX-License-Identifier: Apache-2.0
"""Results of a check, in the three levels of oslo.upgradecheck."""

from oslo_upgradecheck import upgradecheck


def success(text: str) -> upgradecheck.Result:
    """Make a result for what is as it should be; `text` is one sentence with what was found."""
    return upgradecheck.Result(upgradecheck.Code.SUCCESS, text)


def warning(text: str) -> upgradecheck.Result:
    """Make a result for what works or cannot be told; an operator should look."""
    return upgradecheck.Result(upgradecheck.Code.WARNING, text)


def failure(text: str) -> upgradecheck.Result:
    """Make a result for what does not work like this; `text` says what to do."""
    return upgradecheck.Result(upgradecheck.Code.FAILURE, text)
