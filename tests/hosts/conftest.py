"""One test machine for a worker's tests, reset for each of them, with a repository of tiny packages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import apt_repository, machines
from tests.support.apt_repository import Package, signer, write_repository
from tests.support.machines import Machine
from tests.support.managed_host import ManagedHost

REPOSITORY = "/srv/packages"
PACKAGES = (
    Package("tiny", files={"/usr/share/tiny/data": "one\n"}),
    Package("tiny", "2.0", files={"/usr/share/tiny/data": "two\n"}),
    Package("other", files={"/usr/share/other/data": "other\n"}),
    Package(
        "with-service",
        files={
            "/usr/lib/systemd/system/with-service.service": "[Service]\nExecStart=/usr/bin/sleep infinity\n"
            "[Install]\nWantedBy=multi-user.target\n",
            "/etc/with-service.conf": "shipped\n",
        },
        conffiles=["/etc/with-service.conf"],
    ),
)


@dataclass(frozen=True)
class Repository:
    """What a machine must be told of its repository."""

    signing_key: str

    @property
    def item(self) -> dict[str, object]:
        """It as an item of a document."""
        return {"uris": [f"file://{REPOSITORY}"], "suites": ["./"], "signing_key": self.signing_key}


@pytest.fixture(scope="session")
def repository_seed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Repository]:
    """The directory to lay over a machine's image, and the repository in it."""
    folder = tmp_path_factory.mktemp("repository")
    with signer(folder / "gpg") as key:
        write_repository(folder / "seed" / REPOSITORY.lstrip("/"), PACKAGES, key, folder / "work")
        return folder / "seed", Repository(key.public_key)


@pytest.fixture(scope="session")
def repository(repository_seed: tuple[Path, Repository]) -> Repository:
    """The repository that every machine has at `REPOSITORY`, and knows nothing of."""
    return repository_seed[1]


@pytest.fixture(scope="session")
def running_machine(repository_seed: tuple[Path, Repository]) -> Iterator[Machine]:
    """The machine, running."""
    with machines.running("machine", seeds=[repository_seed[0]]) as machine:
        yield machine


@pytest.fixture
def machine(running_machine: Machine) -> Machine:
    """The machine, in the state of its image."""
    running_machine.reset()
    return running_machine


@pytest.fixture
def host(machine: Machine) -> ManagedHost:
    """The same machine as the host of a role."""
    return ManagedHost.of(machine)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what needs a machine where there can be none."""
    reason = machines.missing() or apt_repository.missing()
    for item in items:
        if reason and "running_machine" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.skip(reason=reason))
