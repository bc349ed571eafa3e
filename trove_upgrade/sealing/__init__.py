# SPDX-License-Identifier: Apache-2.0
"""Sealed messages between taskmanager and guest agent: keys, envelopes and the messages in them.

Pure: bytes in, bytes out.  No broker, database or file is known here.
"""
