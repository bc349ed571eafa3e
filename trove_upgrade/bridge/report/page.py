# SPDX-License-Identifier: Apache-2.0
"""Report as one page of HTML that needs no other file, no script and no network.

Names are tenants': each text is escaped, and has no control characters and no marks of writing
direction.  The page forbids scripts and requests to the browser, too.
"""

import base64
import datetime
import functools
import hashlib
import importlib.resources
from typing import Any

import jinja2

from trove_upgrade.bridge.report import lines
from trove_upgrade.bridge.report.durations import in_words
from trove_upgrade.bridge.report.model import OUTCOMES, Outcome, Report
from trove_upgrade.bridge.report.remedies import REMEDIES, Remedy
from trove_upgrade.domain.pace import WAITS
from trove_upgrade.domain.printable import printable

_TEMPLATES = 'templates'
_LOOKED_AT = (Outcome.FAILED, Outcome.TURNING_BACK)


def page(report: Report) -> str:
    """Return the text of the file."""
    style = _file('report.css')
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    return (
        _environment()
        .get_template('report.html')
        .render(
            report=report,
            style=style,
            policy=f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'",
            groups=[
                (outcome, [one for one in report.instances if one.outcome is outcome])
                for outcome in report.totals.outcomes
            ],
        )
    )


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_shown,
    )
    environment.filters |= {'moment': _moment, 'duration': in_words}
    environment.globals |= {
        'outcomes': OUTCOMES,
        'remedies': REMEDIES,
        'nothing': Remedy.NOTHING,
        'waits': WAITS,
        'wave_name': lines.wave_name,
        'pace_line': lines.pace_line,
        'message_of': lines.message_of,
        'is_open': lambda one: one.outcome in _LOOKED_AT,
        'is_turned_back': lambda one: one.outcome is Outcome.TURNING_BACK,
    }
    return environment


def _file(name: str) -> str:
    return (
        importlib.resources.files(__package__)
        .joinpath(_TEMPLATES)
        .joinpath(name)
        .read_text(encoding='utf-8')
    )


def _shown(value: Any) -> Any:
    """Return a value as the page shows it, before it is escaped; what is HTML by then stays."""
    if value is None:
        return ''
    return value if hasattr(value, '__html__') else printable(str(value))


def _moment(moment: datetime.datetime) -> str:
    return f'{moment.astimezone(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC'
