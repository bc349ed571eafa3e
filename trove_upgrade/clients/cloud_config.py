# SPDX-License-Identifier: Apache-2.0
"""The files that user data would write, for a Nova that cannot take user data with a rebuild."""

from trove_upgrade.domain.cloud_init import documents


def files(user_data: bytes) -> dict[str, str | bytes]:
    """Path -> content of the `write_files` of every cloud-config in it; empty where there is none.

    Source: cloud-init's documentation, module "Write Files".
    """
    return {path: _as_text(content) for path, content in documents.files(user_data).items()}


def _as_text(content: bytes) -> str | bytes:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content
