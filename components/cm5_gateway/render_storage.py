"""The NVMe disk, and the directories of data and logs on it (section 6.1)."""

from ..host.args import HostStateArgs, MountArgs, PackageArgs, StepArgs
from .args_storage import StorageArgs
from .formats import script
from .gateway import Gateway
from .role import PREPARE, Role, refuse_unless, shell

__all__ = ["disk", "on_disk"]

_FIND_LABEL = 'blkid -c /dev/null -t "LABEL=$2" -o device | grep -Eqx -- "$1(p?[0-9]+)?"'
_EMPTY_OR_MOUNTED = 'mountpoint -q "$1" || [ -z "$(ls -A "$1" 2>/dev/null)" ]'


def disk(gateway: Gateway, storage: StorageArgs) -> Role:
    """Make the file system where there is none, and mount it (CM5-143 to CM5-145, CM5-147, CM5-148).

    A disk that holds anything is refused and stays as it is, byte for byte.
    """
    device, label = storage.device, gateway.label
    present = refuse_unless(
        ("test", "-b", device),
        f"there is no disk {device}",
        "enable PCIe (EEPROM or config.txt), look with `lsblk`, correct storage.device (CM5-244)",
    )
    file_system = StepArgs(
        run=("python3", "-", device, storage.partition, label, storage.erase_serial or ""),
        stdin=script("nvme_disk.py"),
        unless=shell(_FIND_LABEL, device, label),
        stage=PREPARE,
        after=("disk-is-there",),
        timeout=600,
    )
    # Two file systems of one label: which one is mounted would be chance.
    single = refuse_unless(
        shell('[ "$(blkid -c /dev/null -t "LABEL=$1" -o device | wc -l)" -le 1 ]', label),
        f"several file systems have the label {label}",
        "disconnect the other disk, or give it another label with `e2label`",
    )
    return Role(
        HostStateArgs(
            packages={name: PackageArgs() for name in ("e2fsprogs", "fdisk", "util-linux")},
            steps={
                "disk-is-there": present,
                "file-system": file_system,
                "label-is-unique": single.model_copy(update={"after": ("file-system",)}),
            },
            mounts={
                storage.mount: MountArgs(
                    source=f"LABEL={label}",
                    fstype="ext4",
                    options=("defaults", "noatime", "x-systemd.device-timeout=30s"),
                    check_order=2,
                )
            },
        ),
        protect=True,
    )


def on_disk(gateway: Gateway, storage: StorageArgs) -> Role:
    """Let the directories of data and logs lie on the disk (CM5-146, CM5-149). Without it they stay as they were."""
    places = {gateway.data_dir: f"{storage.mount}/data", gateway.log_dir: f"{storage.mount}/log"}
    options = ("bind", f"x-systemd.requires-mounts-for={storage.mount}")
    steps = {
        "disk-is-mounted": refuse_unless(
            ("mountpoint", "-q", storage.mount),
            f"{storage.mount} is not mounted",
            f"see `journalctl -b -u {_mount_unit(storage.mount)}`; the data would be written to the system's disk",
        )
    }
    for path, source in places.items():
        name = source.rpartition("/")[2]
        steps[f"{name}-hides-nothing"] = refuse_unless(
            shell(_EMPTY_OR_MOUNTED, path),
            f"{path} holds files, which the mount would hide",
            f"move them to {source}, for example with `rsync -aHAX --remove-source-files {path}/ {source}/` (CM5-149)",
        ).model_copy(update={"after": ("disk-is-mounted",)})
        steps[f"{name}-directory"] = StepArgs(
            run=("mkdir", "-p", source), creates=source, stage=PREPARE, after=("disk-is-mounted",)
        )
    mounts = {path: MountArgs(source=source, fstype="none", options=options) for path, source in places.items()}
    return Role(HostStateArgs(steps=steps, mounts=mounts), after=("nvme",), protect=True)


def _mount_unit(path: str) -> str:
    return f"{path.strip('/').replace('-', chr(92) + 'x2d').replace('/', '-')}.mount"
