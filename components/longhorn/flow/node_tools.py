"""Commands on the source node, as argument vectors: fixed scripts, and values as their arguments (VAR-014, LHR-182)."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Sequence
from typing import Final

from .interfaces import Clock, Completed, Node, NodeError

__all__ = [
    "FOREIGN",
    "copy_into_device",
    "format_device",
    "nothing_mounted",
    "probe_device",
    "repair_scratch",
    "run_long",
    "script",
    "test_mount",
    "write_marker",
]

FOREIGN: Final = 9
"""Exit status: the device carries what the flow did not write."""
_POLL_SECONDS: Final = 2.0
_LONGEST_POLL: Final = 15.0


def script(name: str, text: str, *arguments: str) -> tuple[str, ...]:
    """Make the argument vector of a script; ``name`` is how it appears in process lists and messages."""
    return ("sh", "-c", text, f"factory-{name}", *arguments)


_NOTHING: Final = 2
"""Exit status of blkid for a device without any signature; with several it ends otherwise, and prints nothing too."""
_PROBE: Final = f"""
set -eu
if [ ! -b "$1" ]; then echo block=no; exit 0; fi
echo block=yes
echo "size=$(blockdev --getsize64 "$1")"
status=0
found=$(blkid -p -o export "$1") || status=$?
if [ "$status" -ne 0 ] && [ "$status" -ne {_NOTHING} ]; then
  echo "blkid cannot tell what it carries (it ended with $status)" >&2; exit {FOREIGN}
fi
printf '%s\\n' "$found" | sed -nE '/^(TYPE|UUID|PTTYPE)=/p'
if [ -e "$2" ]; then echo "complete=$(cat "$2")"; fi
"""


def probe_device(device: str, marker: str) -> tuple[str, ...]:
    """Say what a device is: ``block``, ``size``, ``TYPE``, ``UUID``, and what the completion marker holds."""
    return script("probe", _PROBE, device, marker)


_FORMAT: Final = f"""
set -eu
status=0
blkid -p "$1" >/dev/null 2>&1 || status=$?
if [ "$status" -ne {_NOTHING} ]; then
  echo "$1 already carries something, or blkid cannot tell (it ended with $status)" >&2; exit {FOREIGN}
fi
rm -f "$3"
if [ -d "$(dirname "$3")" ]; then sync "$(dirname "$3")"; fi
mkfs.ext4 -q -F -U "$2" "$1"
sync "$1"
"""


def format_device(device: str, uuid: str, marker: str) -> tuple[str, ...]:
    """Format a device that carries nothing; it is looked at once more at the last moment (INV-011, LHR-110).

    A ``marker`` of an earlier device of the volume goes first: its file system had the same id, and its files.
    """
    return script("format", _FORMAT, device, uuid, marker)


_TEST_MOUNT: Final = """
set -eu
umask 022
mkdir -p "$2"
release() { if mountpoint -q "$2"; then umount "$2"; fi; }
if mountpoint -q "$2"; then umount "$2"; fi
trap 'release "$@"' EXIT
mount -o "loop,ro,$3" "$1" "$2"
ls -1A "$2"
"""


def test_mount(image: str, mount_point: str, option: str) -> tuple[str, ...]:
    """Mount an image read-only without a replay, list it, and unmount it on every way out (LHR-054, DEF-29)."""
    return script("test-mount", _TEST_MOUNT, image, mount_point, option)


_REPAIR: Final = """
set -eu
rm -f "$2.partial" "$2"
cp --sparse=always "$1" "$2.partial"
status=0
e2fsck -fy "$2.partial" >&2 || status=$?
if [ "$status" -gt 3 ]; then exit "$status"; fi
sync "$2.partial"
mv "$2.partial" "$2"
"""


def repair_scratch(image: str, scratch: str) -> tuple[str, ...]:
    """Copy an image and let e2fsck replay its journal and repair the copy; the image stays as it is (LHR-059)."""
    return script("repair", _REPAIR, image, scratch)


# rsync's own status is printed, because the script's own is needed for what went wrong around it. Only this file system
# is brought to the disk: all of them would wait for a share on a Longhorn that is down (BKP-061).
_COPY: Final = f"""
set -eu
device=$1 image=$2 live=$3 source=$4 uuid=$5
umask 022
found=$(blkid -p -s UUID -o value "$device" || true)
if [ "$found" != "$uuid" ]; then echo "$device carries the file system '$found', not ours" >&2; exit {FOREIGN}; fi
mkdir -p "$live" "$source"
release() {{
  if mountpoint -q "$live"; then umount "$live"; fi
  if mountpoint -q "$source"; then umount "$source"; fi
}}
release
trap release EXIT
mount -o loop,ro,noload "$image" "$source"
mount "$device" "$live"
status=0
rsync -aHAXS --numeric-ids --exclude=/lost+found "$source/" "$live/" >/dev/null 2>"$6" || status=$?
echo "rsync=$status"
sync -f "$live"
compared=0
rsync -naHAXS --numeric-ids --checksum --exclude=/lost+found --out-format='%n' "$source/" "$live/" \\
  >"$7" 2>/dev/null || compared=$?
echo "compared=$compared"
echo "differing=$(grep -vc '/$' "$7" || true)"
sed -e '/\\/$/d' -e 's/^/differs=/' "$7" | head -n 1000
echo "files=$(find "$live" -xdev -type f | wc -l)"
echo "bytes=$(find "$live" -xdev -type f -printf '%s\\n' | awk '{{sum += $1}} END {{printf "%d", sum}}')"
sed 's/^/unreadable=/' "$6" | head -n 1000
release
trap - EXIT
check=0
e2fsck -fn "$device" >/dev/null 2>&1 || check=$?
echo "fsck=$check"
"""


def copy_into_device(device: str, image: str, mounts: str, uuid: str) -> tuple[str, ...]:
    """Copy all files of an image into a formatted device, compare them, and unmount both (LHR-111 .. LHR-119)."""
    places = (f"{mounts}/{name}" for name in ("live", "source"))
    notes = (f"{mounts}/{name}" for name in ("messages", "differences"))
    return script("copy", _COPY, device, image, *places, uuid, *notes)


_MOUNTED: Final = """
if mountpoint -q "$1/live" || mountpoint -q "$1/source"; then exit 1; fi
"""


def nothing_mounted(mounts: str) -> tuple[str, ...]:
    """End with 0 when neither the device nor the image is mounted by the flow (LHR-133)."""
    return script("mounted", _MOUNTED, mounts)


_MARKER: Final = """
set -eu
mkdir -p "$(dirname "$1")"
printf '%s' "$2" > "$1.partial"
sync "$1.partial"
mv "$1.partial" "$1"
sync "$(dirname "$1")"
"""


def write_marker(marker: str, text: str) -> tuple[str, ...]:
    """Leave a note on the node that the copy is complete and compared (DT-5)."""
    return script("marker", _MARKER, marker, text)


# A number alone may be another program's by now; a job's own command line holds its name.
_ALIVE: Final = """
alive() {
  [ -s "$1/pid" ] && tr '\\0' ' ' 2>/dev/null <"/proc/$(cat "$1/pid")/cmdline" | grep -qF -- "${1##*/}"
}
"""
_START: Final = f"""
set -eu
{_ALIVE}
umask 077
mkdir -p "$1"
[ -O "$1" ] || {{ echo "$1 belongs to somebody else" >&2; exit 1; }}
job=$1/$2
if [ -e "$job/status" ]; then rm -rf "$job"; fi
if alive "$job"; then exit 0; fi
rm -rf "$job"
mkdir "$job"
shift 2
setsid sh -c 'job=$1; shift; status=0; "$@" >"$job/out" 2>"$job/err" </dev/null || status=$?
echo "$status" >"$job/status.partial"; mv "$job/status.partial" "$job/status"' job "$job" "$@" \\
  </dev/null >/dev/null 2>&1 &
echo $! >"$job/pid"
"""
_POLL: Final = f"""
set -eu
{_ALIVE}
job=$1/$2
if [ -e "$job/status" ]; then cat "$job/status"; exit 0; fi
if alive "$job"; then echo running; exit 0; fi
sleep 1
if [ -e "$job/status" ]; then cat "$job/status"; else echo lost; fi
"""
_FETCH: Final = """cat "$1/$2/$3" """


def run_long(node: Node, command: Sequence[str], *, clock: Clock, timeout: float, directory: str) -> Completed:
    """Run a command apart from the connection and wait for its end; a second call joins one that still runs.

    What runs is kept in ``directory``, which only root may use. Raises NodeError when it was lost (a reboot) or took
    longer than ``timeout`` seconds; it is then left running.
    """
    jobs = f"{directory}/jobs"
    job = hashlib.sha256(shlex.join(command).encode()).hexdigest()[:20]
    started = node.run(script("start", _START, jobs, job, *command))
    if started.status:
        message = f"{node.name}: a command could not be started: {started.err.strip()}"
        raise NodeError(message)
    deadline, pause = clock.monotonic() + timeout, _POLL_SECONDS / 20
    while True:
        state = node.run(script("poll", _POLL, jobs, job)).out.strip()
        if state.isdigit():
            out, err = (node.run(script("fetch", _FETCH, jobs, job, part)).out for part in ("out", "err"))
            return Completed(int(state), out, err)
        if state != "running":
            message = f"{node.name}: {command[0]} ended without a result (was the machine restarted?); run again"
            raise NodeError(message)
        if clock.monotonic() > deadline:
            message = f"{node.name}: {command[0]} still runs after {timeout:g} s; run again to wait for it"
            raise NodeError(message)
        clock.sleep(pause)
        pause = min(pause * 2, _LONGEST_POLL)
