# SPDX-License-Identifier: Apache-2.0
"""Packets of a server that is not trusted: a guest is its tenant's.

Paramiko reads whatever length a packet claims to have, up to 4 GB.  OpenSSH ends at 256 KiB.
Source: paramiko 5.1, `Packetizer.read_message`; OpenSSH, packet.h, PACKET_MAX_SIZE.
"""

import paramiko
from paramiko.packet import Packetizer

PACKET_BYTES = 256 * 1024
#: Beside the payload: the length, the padding and the authentication code.
_AROUND = 1024


class BoundedPacketizer(Packetizer):
    """Reader of packets that refuses what no server has to send."""

    def read_all(self, n: int, check_rekey: bool = False) -> bytes:
        """Read so many bytes.

        :raises SSHException: they are more than a packet has.
        """
        if not 0 <= n <= PACKET_BYTES + _AROUND:
            raise paramiko.SSHException(f'a packet claims to have {n} bytes')
        return bytes(super().read_all(n, check_rekey))
