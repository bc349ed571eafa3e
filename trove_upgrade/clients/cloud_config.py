# SPDX-License-Identifier: Apache-2.0
"""The files that user data would write, for a Nova that cannot take user data with a rebuild."""
import base64
from typing import Any

import yaml


def files(user_data: bytes) -> dict[str, str]:
    """Path -> content of the `write_files` of a cloud-config; empty for any other user data.

    Source: cloud-init's documentation, module "Write Files".
    """
    if not user_data.startswith(b'#cloud-config'):
        return {}
    document: Any = yaml.safe_load(user_data) or {}
    return {entry['path']: _content(entry) for entry in document.get('write_files') or []}


def _content(entry: dict[str, Any]) -> str:
    content = str(entry.get('content', ''))
    if str(entry.get('encoding', '')).lower() in {'b64', 'base64'}:
        return base64.b64decode(content).decode()
    return content
