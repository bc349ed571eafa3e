# SPDX-License-Identifier: Apache-2.0
"""Repetition of whole transactions that the database gave up, or that met changed columns."""

import functools
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

import sqlalchemy as sa
from oslo_db import api as oslo_db_api
from oslo_db import exception as db_exc

from trove_upgrade.db.old_schema import is_of_old_columns

P = ParamSpec('P')
R = TypeVar('R')

_LOOK_AGAIN_SECONDS = 0.05


def retry_on_deadlock(method: Callable[P, R]) -> Callable[P, R]:
    """Run a whole transaction again when the server gave it up: deadlock, or certification failure
    on Galera.

    At most 12 times, 50 ms to 1 s apart with jitter; then the error is raised as it is.  And as
    `repeat_on_new_columns`.
    """
    decorate = oslo_db_api.wrap_db_retry(
        retry_interval=0.05,
        max_retries=12,
        inc_retry_interval=True,
        max_retry_interval=1,
        retry_on_deadlock=True,
        jitter=True,
    )
    return repeat_on_new_columns(cast('Callable[P, R]', decorate(method)))


def repeat_on_new_columns(method: Callable[P, R]) -> Callable[P, R]:
    """Run what reads or writes again where a contract has taken a column away since
    `Database.columns` looked.

    The error itself has made the database forget what it had seen.  At most 5 times in 0.2 s
    (behind a balancer the next look may come to a server that lags); then the error is raised as it
    is.
    """

    @functools.wraps(method)
    def repeated(*args: P.args, **kwargs: P.kwargs) -> R:
        for waited in (False, True, True, True):
            try:
                return method(*args, **kwargs)
            except (sa.exc.DBAPIError, db_exc.DBError) as error:
                if not is_of_old_columns(error):
                    raise
            if waited:
                time.sleep(_LOOK_AGAIN_SECONDS)
        return method(*args, **kwargs)

    return repeated
