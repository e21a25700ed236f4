"""Asks a network for the address of a `.local` name, and prints it. Run by a test: name, own address there."""

from __future__ import annotations

import socket
import struct
import sys

GROUP = ("224.0.0.251", 5353)
ANSWER_SECONDS = 2
QUESTIONS = 5


def main(name: str, own: str) -> None:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"
    question = struct.pack("!HHHHHH", 0x5EED, 0, 1, 0, 0, 0) + labels + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(own))
        asking.settimeout(ANSWER_SECONDS)
        for _ in range(QUESTIONS):
            asking.sendto(question, GROUP)
            try:
                answer, _ = asking.recvfrom(2048)
            except TimeoutError:
                continue
            # A record of four bytes of address is the answer's last part.
            print(socket.inet_ntoa(answer[-4:]))
            return
    print("nobody has the name")


if __name__ == "__main__":
    main(*sys.argv[1:])
