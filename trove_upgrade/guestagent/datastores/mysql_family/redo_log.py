# SPDX-License-Identifier: Apache-2.0
"""The shutdown that left a data directory, clean or not, read from its files alone.

Measured on MariaDB 10.11: after a clean shutdown nothing but one FILE_CHECKPOINT record (0xfa, 16
bytes) stands at the newest checkpoint of ib_logfile0; after a kill more follows there.  ibtmp1 and
ddl_recovery.log are removed by a clean shutdown only. Source of the layout: MariaDB's log0log.h and
mtr0log.h, "MariaDB Server 10.8 redo log format".
"""

import os
import pathlib
import struct
from typing import BinaryIO

from trove_upgrade.guestagent.machine import untrusted_files

_FORMAT_10_8 = 0x50687973  #: 'Phys': one file, records of any length; 10.8 and later
_START = 12288  #: where the records begin, and what the header takes
_CHECKPOINTS = (4096, 8192)
_FILE_CHECKPOINT = 0xFA
_RECORD_BYTES = 16  #: type, two bytes of page id, LSN, end marker, CRC
_LEFT_BY_A_CRASH = ('ibtmp1', 'ddl_recovery.log')
_READ_BYTES = 4 << 20  #: more than a mini-transaction takes
_CASTAGNOLI = 0x82F63B78


def _crc_of_byte(value: int) -> int:
    for _ in range(8):
        value = (value >> 1) ^ (_CASTAGNOLI if value & 1 else 0)
    return value


_CRC_TABLE = tuple(_crc_of_byte(value) for value in range(256))


def is_clean(data_directory: pathlib.Path, log_directory: pathlib.Path | None = None) -> bool:
    """Return whether the server of `data_directory` ended cleanly.

    False is certain; True is as certain as the files allow (a log older than 10.8 or an encrypted
    one is not looked into).
    """
    if any((data_directory / name).exists() for name in _LEFT_BY_A_CRASH):
        return False
    try:
        log = untrusted_files.open_plain(
            (log_directory or data_directory) / 'ib_logfile0',
            untrusted_files.owner_of(data_directory),
        )
    except FileNotFoundError:
        return data_directory.is_dir()
    except OSError:  # a link, a pipe, another's: no server has ended cleanly on that
        return False
    with os.fdopen(log, 'rb') as stream:
        return _ends_at_checkpoint(stream)


def _ends_at_checkpoint(stream: BinaryIO) -> bool:
    size = os.fstat(stream.fileno()).st_size
    header = stream.read(_START)
    if len(header) < _START or size <= _START or struct.unpack('>I', header[:4])[0] != _FORMAT_10_8:
        return True
    first_lsn = struct.unpack('>Q', header[8:16])[0]
    checkpoint, end = max(struct.unpack('>QQ', header[at : at + 16]) for at in _CHECKPOINTS)
    if end != checkpoint:
        return False
    position = (checkpoint - first_lsn) % (size - _START)
    stream.seek(_START + position)
    tail = stream.read(_READ_BYTES)
    if len(tail) < _READ_BYTES:  # the log is a ring
        stream.seek(_START)
        tail += stream.read(_READ_BYTES - len(tail))
    if tail[0] != _FILE_CHECKPOINT or struct.unpack('>Q', tail[3:11])[0] != checkpoint:
        return False
    following = tail[_RECORD_BYTES:]
    wrapped = position + _RECORD_BYTES >= size - _START
    return not _is_record_group(following, tail[11] ^ wrapped)


def _is_record_group(data: bytes, sequence_bit: int) -> bool:
    """Return whether a complete mini-transaction stands here; what an earlier round of the ring
    left behind fails by bit or CRC.
    """
    position = 0
    while position < len(data) and data[position] > 1:
        length = data[position] & 0x0F
        position += 1
        if length == 0:
            length = 15 + _varint(data, position)
        position += length
    if position == 0 or position + 5 > len(data) or data[position] != sequence_bit:
        return False
    return crc32c(data[:position]) == struct.unpack('>I', data[position + 1 : position + 5])[0]


def _varint(data: bytes, position: int) -> int:
    """Decode an integer as MariaDB's mlog_decode_varint does; each longer form begins where the
    shorter one ends.
    """
    lead = data[position] if position < len(data) else 0
    if lead < 0x80:
        return lead
    if lead < 0xC0:
        return (((lead & 0x3F) << 8) | _at(data, position + 1, 1)) + 0x80
    if lead < 0xE0:
        return (((lead & 0x1F) << 16) | _at(data, position + 1, 2)) + 0x4080
    if lead < 0xF0:
        return (((lead & 0x0F) << 24) | _at(data, position + 1, 3)) + 0x204080
    return _at(data, position + 1, 4) + 0x10204080


def _at(data: bytes, position: int, width: int) -> int:
    return int.from_bytes(data[position : position + width], 'big')


def crc32c(data: bytes) -> int:
    """CRC-32C, a byte at a time: the data is one mini-transaction."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _CRC_TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF
