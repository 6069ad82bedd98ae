"""Close a listening socket without resetting a connection.

The kernel completes handshakes on its own, and resets the connections that were not yet accepted when their listener is
closed.
"""

import ctypes
import socket
import struct
import sys

_HANDSHAKE_SECONDS = 0.05
"""How long a handshake that has begun may take when the listener is closed."""

# From Linux's headers asm/socket.h, linux/bpf_common.h and the TCP header of RFC 9293.
_SO_ATTACH_FILTER = 26
_LOAD_BYTE, _JUMP_IF_SET, _RETURN = 0x30, 0x45, 0x06
_TCP_FLAGS_OFFSET, _TCP_ACK = 13, 0x10


def accept_all(listener: socket.socket) -> list[socket.socket]:
    """Accept the pending connections, and close the listener."""
    clients = []
    with listener:
        listener.settimeout(_HANDSHAKE_SECONDS if _ignore_new_connections(listener) else 0)
        while True:
            try:
                clients.append(listener.accept()[0])
            except OSError:  # there are no more
                return clients


def _ignore_new_connections(listener: socket.socket) -> bool:
    """Let connections whose handshake has begun complete, and no others begin. Return whether the system can.

    Otherwise a connection that completes between the last accept and the close is reset. The kernel discards the
    packets that begin a connection; their senders repeat them after a second, and are then refused.
    """
    if sys.platform != "linux":
        return False
    # Classic BPF: load the byte of the TCP flags; if it has ACK, keep the packet, otherwise discard it.
    program = b"".join(
        struct.pack("HBBI", *instruction)
        for instruction in (
            (_LOAD_BYTE, 0, 0, _TCP_FLAGS_OFFSET),
            (_JUMP_IF_SET, 0, 1, _TCP_ACK),
            (_RETURN, 0, 0, 0xFFFF_FFFF),
            (_RETURN, 0, 0, 0),
        )
    )
    buffer = ctypes.create_string_buffer(program)
    header = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    try:
        listener.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, header)
    except OSError:  # forbidden, by a seccomp profile
        return False
    return True
