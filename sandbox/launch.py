"""Become a backend: drop root where asked, tie the life to the supervisor's, then exec.

Run as `python -I -S launch.py PARENT SIGNAL USER -- COMMAND...`, standard library only, so that it costs milliseconds.
It is a program of its own and not a `preexec_fn`, because that is unsafe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import sys

KEEP_USER = "-"

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_GET_SECUREBITS = 27
_PR_SET_SECUREBITS = 28
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_CAP_DAC_OVERRIDE = 1
_CAP_DAC_READ_SEARCH = 2
_CAP_SETPCAP = 8
_NO_SETUID_FIXUP = 1 << 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


def main(arguments: list[str]) -> int:
    """Exec the command; returns only on failure."""
    parent, death_signal, user, separator, *command = arguments
    if separator != "--" or not command:
        print("usage: launch.py PARENT SIGNAL USER -- COMMAND...", file=sys.stderr)
        return 2
    if user != KEEP_USER:
        uid, gid = (int(part) for part in user.split(":"))
        drop_root(uid, gid)
    # After the change of user: the kernel forgets the death signal when credentials change.
    _prctl(_PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):
        return 1  # the supervisor died before the line above took effect
    os.execv(command[0], command)  # noqa: S606 - exec without a shell is the purpose of this file
    return 1


def drop_root(uid: int, gid: int) -> None:
    """Become an unprivileged user who keeps one ability: to pass through directories closed to others.

    The state directory and the virtual environment of root usually lie below /root (mode 0700). Opening those paths to
    everybody, or keeping the data elsewhere, would be worse than this one capability.
    """
    permitted = _permitted()
    passage = next((number for number in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE) if number in permitted), None)
    if passage is not None:
        _prctl(_PR_SET_KEEPCAPS, 1)
        if _CAP_SETPCAP in permitted:
            # Otherwise access(2) forgets the capability, and by that call PostgreSQL looks for its own program.
            _prctl(_PR_SET_SECUREBITS, _libc.prctl(_PR_GET_SECUREBITS, 0, 0, 0, 0) | _NO_SETUID_FIXUP)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    if passage is not None:
        _set_only_capability(passage)
        _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, passage)


def _permitted() -> set[int]:
    with open("/proc/self/status", encoding="ascii") as stream:  # noqa: PTH123 - pathlib doubles the start-up time
        line = next(line for line in stream if line.startswith("CapPrm:"))
    mask = int(line.split()[1], 16)
    return {number for number in range(mask.bit_length()) if mask >> number & 1}


def _set_only_capability(number: int) -> None:
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    # Two words each of effective, permitted, inheritable; the capabilities used here are in the first.
    data = (ctypes.c_uint32 * 6)(1 << number, 1 << number, 1 << number, 0, 0, 0)
    if _libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "capset")


def _prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(value) for value in (*values, 0, 0, 0, 0)[:4]]
    if _libc.prctl(option, *padded) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
