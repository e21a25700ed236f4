"""Asks for an address as a device does, and prints what it is offered. Run by a test: interface, hardware address."""

from __future__ import annotations

import socket
import struct
import sys

MAGIC = b"\x63\x82\x53\x63"
ANSWER_SECONDS = 8


def request(hardware: bytes) -> bytes:
    """A DISCOVER as a broadcast frame."""
    bootp = struct.pack("!BBBBIHH16s16s192s", 1, 1, 6, 0, 0x5EED, 0, 0x8000, b"", hardware, b"")
    dhcp = bootp + MAGIC + bytes([53, 1, 1, 55, 4, 1, 3, 6, 51, 255])
    udp = struct.pack("!HHHH", 68, 67, 8 + len(dhcp), 0) + dhcp
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, bytes(4), b"\xff" * 4)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    checked = header[:10] + struct.pack("!H", ~total & 0xFFFF) + header[12:]
    return b"\xff" * 6 + hardware + b"\x08\x00" + checked + udp


def offer(frame: bytes, hardware: bytes) -> str | None:
    """What a frame offers us, as words; None for any other frame."""
    if frame[12:14] != b"\x08\x00" or frame[23] != socket.IPPROTO_UDP or frame[36:38] != b"\x00\x44":
        return None
    bootp = frame[42:]
    if bootp[28:34] != hardware or bootp[236:240] != MAGIC:
        return None
    options, rest = {}, bootp[240:]
    while rest and rest[0] != 255:
        options[rest[0]], rest = rest[2 : 2 + rest[1]], rest[2 + rest[1] :]
    words = {
        "address": socket.inet_ntoa(bootp[16:20]),
        "router": socket.inet_ntoa(options[3]) if options.get(3) else "none",
        "dns": socket.inet_ntoa(options[6]) if options.get(6) else "none",
        "mask": socket.inet_ntoa(options[1]),
        "lease": str(int.from_bytes(options[51], "big")),
    }
    return " ".join(f"{name}={value}" for name, value in words.items())


def main(interface: str, mac: str) -> None:
    hardware = bytes.fromhex(mac.replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as link:
        link.bind((interface, 0))
        link.settimeout(ANSWER_SECONDS)
        link.send(request(hardware))
        while (found := offer(link.recv(2048), hardware)) is None:
            pass
    print(found)


if __name__ == "__main__":
    main(*sys.argv[1:])
