# SPDX-License-Identifier: Apache-2.0
"""Server versions as far as a driver compares them: series, e.g. 10.11."""
import re


def series(version: str) -> tuple[int, ...]:
    """The first two numbers of e.g. 10.11.14-MariaDB-0+deb12u2; empty where there are none."""
    found = re.search(r'(\d+)\.(\d+)', version)
    return (int(found.group(1)), int(found.group(2))) if found else ()
