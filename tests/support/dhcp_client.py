"""Asks for an address as a device does, and prints what it gets. Run by a test: interface, hardware address."""

from __future__ import annotations

import socket
import struct
import sys

MAGIC = b"\x63\x82\x53\x63"
ANSWER_SECONDS = 8
DISCOVER, OFFER, REQUEST, ACKNOWLEDGED = 1, 2, 3, 5
_WANTED = bytes([55, 5, 1, 3, 6, 12, 51])
"""Mask, router, name servers, name, duration."""


def question(hardware: bytes, kind: int, *options: bytes) -> bytes:
    """A message of a client without an address, as a broadcast frame."""
    bootp = struct.pack("!BBBBIHH16s16s192s", 1, 1, 6, 0, 0x5EED, 0, 0x8000, b"", hardware, b"")
    dhcp = bootp + MAGIC + bytes([53, 1, kind]) + b"".join(options) + _WANTED + b"\xff"
    udp = struct.pack("!HHHH", 68, 67, 8 + len(dhcp), 0) + dhcp
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    checked = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    return b"\xff" * 6 + hardware + b"\x08\x00" + checked + udp


def answer(frame: bytes, hardware: bytes, kind: int) -> tuple[bytes, dict[int, bytes]] | None:
    """Address and options of an answer to us; None for any other frame."""
    if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP or frame[36:38] != b"\x00\x44":
        return None
    bootp = frame[42:]
    if bootp[28:34] != hardware or bootp[236:240] != MAGIC:
        return None
    options, rest = dict[int, bytes](), bootp[240:]
    while rest and rest[0] != 255:
        options[rest[0]], rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
    return (bootp[16:20], options) if options.get(53) == bytes([kind]) else None


def main(interface: str, mac: str) -> None:
    hardware = bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as link:
        link.bind((interface, 0))
        link.settimeout(ANSWER_SECONDS)

        def asked(kind: int, awaited: int, *options: bytes) -> tuple[bytes, dict[int, bytes]]:
            link.send(question(hardware, kind, *options))
            while (found := answer(link.recv(2048), hardware, awaited)) is None:
                pass
            return found

        address, offered = asked(DISCOVER, OFFER)
        address, given = asked(REQUEST, ACKNOWLEDGED, b"\x32\x04" + address, b"\x36\x04" + offered[54])
    words = {
        "address": socket.inet_ntoa(address),
        "router": socket.inet_ntoa(given[3]) if given.get(3) else "none",
        "dns": socket.inet_ntoa(given[6]) if given.get(6) else "none",
        "mask": socket.inet_ntoa(given[1]),
        "lease": str(int.from_bytes(given[51], "big")),
        "name": given[12].decode() if given.get(12) else "none",
    }
    print(" ".join(f"{name}={value}" for name, value in words.items()))


if __name__ == "__main__":
    main(*sys.argv[1:])
