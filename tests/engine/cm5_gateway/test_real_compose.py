"""The gateway's containers with the real Docker Compose, by the commands of their own role."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

import toolchain
from components.cm5_gateway import CM5GatewayArgs, Gateway
from components.cm5_gateway.archive import Device
from components.cm5_gateway.checks import checklist
from components.cm5_gateway.render import roles
from components.host.transport_local import LocalTransport
from stacks.settings.yaml_file import read
from tests.support.docker_daemon import dockerd
from tests.support.docker_gateway import PRODUCT, DockerGateway, docker_gateway
from tests.support.gateway import SECRETS, classic, gateway_args

BUSYBOX = shutil.which("busybox")
NAMES = {f"{PRODUCT}-{name}" for name in ("adguard", "backend", "mosquitto", "nginx", "node-exporter", "traefik")}

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not (dockerd() and BUSYBOX), reason="needs root, dockerd and a static busybox"),
]


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerGateway]:
    tool = toolchain.locate("docker-compose")
    if tool is None:
        pytest.skip("no docker-compose: `./factory test --long` gets it")
    with docker_gateway(tmp_path_factory.mktemp("gateway"), Path(BUSYBOX or ""), tool.path) as made:
        yield made


def changed(before: dict[str, str], after: dict[str, str]) -> set[str]:
    """Which containers are not what they were, without the product's name."""
    names = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    return {name.removeprefix(f"{PRODUCT}-") for name in names}


def lab(data_dir: str) -> Gateway:
    """The gateway of the committed stack, with its data elsewhere."""
    values = read(toolchain.ROOT / "Pulumi.lab.yaml").values["cm5_gateway"]
    return Gateway.of(CM5GatewayArgs.model_validate(values | {"data_dir": data_dir}))


def described(data_dir: str) -> Gateway:
    """The gateway of the tests, with all there is."""
    return Gateway.of(gateway_args(data_dir=data_dir, lan={"address": "10.20.0.14"}))


def small(data_dir: str) -> Gateway:
    """The classic machine."""
    return Gateway.of(classic(data_dir=data_dir, lan={"address": "10.20.0.14"}))


def shown(service: dict[str, Any]) -> dict[str, Any]:
    """A service as Compose shows it: with the variables of its files, and without what is not to be."""
    files = [Path(file).read_text("utf-8") for file in service.pop("env_file", [])]
    variables = dict(line.split("=", 1) for text in files for line in text.splitlines())
    environment = service.get("environment", {}) | {key: value.strip("'") for key, value in variables.items()}
    mounts = [mount | {"bind": {}} for mount in service.get("volumes", ())]
    return {
        **service,
        **({"environment": environment} if environment else {}),
        **({"volumes": mounts} if mounts else {}),
    }


@pytest.mark.parametrize(("of", "count"), [(lab, 12), (described, 6), (small, 3)])
def test_compose_reads_the_file_as_it_is_meant(
    gateway: DockerGateway, tmp_path: Path, of: Callable[[str], Gateway], count: int
) -> None:
    """CM5-185: nothing is unknown to it, left out or understood in another way."""
    made = of(str(tmp_path))
    for name, role in roles(made).items():
        if name == "compose" or name.startswith("container-"):
            gateway.write(role, dict.fromkeys(made.args.secrets, "value"))
    written = yaml.safe_load(Path(made.compose_file).read_text("utf-8"))
    read_back = yaml.safe_load(gateway.run("docker", "compose", "--file", made.compose_file, "config"))
    assert read_back == {**written, "services": {name: shown(each) for name, each in written["services"].items()}}
    assert len(read_back["services"]) == count
    assert {service["network_mode"] for service in read_back["services"].values()} == {"host"}


def test_compose_refuses_what_it_does_not_know(gateway: DockerGateway) -> None:
    """The judgement before a file is replaced is one: CM5-126."""
    role = roles(gateway.described())["compose"]
    (path,) = role.desired.files
    *command, _quiet = role.desired.files[path].validate_with or ()
    wrong = gateway.folder / "wrong.yml"
    wrong.write_text("services:\n  nginx:\n    image: nginx:1\n    volume: []\n", "utf-8")
    done = gateway.attempt(*(str(wrong) if word == "%s" else word for word in command))
    assert done.status != 0
    assert "volume" in done.stderr


def test_the_containers_run_as_they_are_described(gateway: DockerGateway) -> None:
    """CM5-118 to CM5-125, CM5-185, CM5-218."""
    gateway.up()
    assert gateway.containers().keys() == NAMES
    for name in NAMES:
        host = gateway.inspect(name.removeprefix(f"{PRODUCT}-"))["HostConfig"]
        assert (host["NetworkMode"], host["RestartPolicy"]["Name"]) == ("host", "unless-stopped")
    exporter, backend = gateway.inspect("node-exporter"), gateway.inspect("backend")
    # Compose reads dollar signs of its own: these are for the program.
    assert exporter["Args"][-1] == "--filter=^(a|b)$"
    assert "PRICE=5$" in exporter["Config"]["Env"]
    assert "CAMERA_KEY=secret-of-camera" in backend["Config"]["Env"]
    # AdGuard gets a copy of its file and its login, in a place that is empty at each start.
    told = gateway.compose("exec", "-T", "adguard", "cat", "/opt/adguardhome/conf/AdGuardHome.yaml")
    assert {"dns", "filtering", "users"} <= yaml.safe_load(told).keys()
    written = gateway.attempt(
        "docker", "exec", f"{PRODUCT}-mosquitto", "touch", "/mosquitto/config/mosquitto.conf", "/mosquitto/data/db"
    )
    assert "/mosquitto/config/mosquitto.conf: Read-only file system" in written.stderr
    assert (gateway.folder / "data/mosquitto/data/db").exists()
    pages = gateway.folder / "data/frontend/frontend-2.1.0/index.html"
    assert pages.read_text("utf-8") == "the pages of 2.1.0\n"
    running = checklist(gateway.described())["CM5-218-containers"].command or ()
    assert gateway.attempt(*running).status == 0
    gateway.compose("stop", "mosquitto")
    assert gateway.attempt(*running).status != 0
    gateway.compose("start", "mosquitto")


def test_a_second_run_does_nothing(gateway: DockerGateway) -> None:
    """CM5-150: also where it was forgotten what had been started."""
    gateway.up()
    before = gateway.containers()
    assert gateway.up() == []
    (gateway.folder / "data/.docker-compose.applied.yml").unlink()
    assert gateway.up() == ["compose:up"]
    assert gateway.containers() == before


def test_another_version_makes_the_containers_of_its_images_anew(gateway: DockerGateway) -> None:
    """CM5-262, CM5-274."""
    gateway.up()
    before = gateway.containers()
    ran = gateway.up(containers={"mosquitto": {"image": f"{gateway.registry.address}/mosquitto:2.2.0"}})
    assert ran == ["compose:up"]
    assert changed(before, gateway.containers()) == {"mosquitto"}
    assert gateway.inspect("mosquitto")["Config"]["Labels"]["image"] == "mosquitto:2.2.0"


def test_another_configuration_makes_its_container_anew(gateway: DockerGateway) -> None:
    """CM5-274: the file, or a secret in the environment."""
    gateway.up()
    before = gateway.containers()
    gateway.up(containers={"mosquitto": {"files": {"mosquitto.conf": {"content": "listener 1884\n"}}}})
    assert changed(before, gateway.containers()) == {"mosquitto"}
    assert gateway.compose("exec", "-T", "mosquitto", "cat", "/mosquitto/config/mosquitto.conf") == "listener 1884\n"
    gateway.up()
    before = gateway.containers()
    gateway.up(secrets=SECRETS | {"camera_key": "another-key"})
    assert changed(before, gateway.containers()) == {"backend"}
    assert "CAMERA_KEY=another-key" in gateway.inspect("backend")["Config"]["Env"]


@pytest.mark.parametrize("value", [r"$HOME ${HOME} $$ #x \n\t", '"quoted" `word` = \\\\.', "  spaces and é  "])
def test_a_secret_arrives_in_the_environment_as_it_is(gateway: DockerGateway, value: str) -> None:
    """CM5-214: whatever Compose could take for its own."""
    gateway.up(secrets=SECRETS | {"camera_key": value})
    assert f"CAMERA_KEY={value}" in gateway.inspect("backend")["Config"]["Env"]


def test_a_container_that_is_described_no_more_ends(gateway: DockerGateway) -> None:
    gateway.up()
    before = gateway.containers()
    gateway.up(containers={"mosquitto": None})
    assert changed(before, gateway.containers()) == {"mosquitto"}
    assert gateway.containers().keys() == NAMES - {f"{PRODUCT}-mosquitto"}


def test_what_cannot_be_started_leaves_the_rest_as_it_is(gateway: DockerGateway) -> None:
    """CM5-126: an image, a path or a program that is not there; and back again."""
    gateway.up()
    before = gateway.containers()
    with pytest.raises(AssertionError, match="mosquitto Error manifest unknown"):
        gateway.up(containers={"mosquitto": {"image": f"{gateway.registry.address}/mosquitto:3.0.0"}})
    assert gateway.containers() == before
    missing = gateway.folder / "missing"
    with pytest.raises(AssertionError, match="bind source path does not exist"):
        gateway.up(containers={"node-exporter": {"mounts": {str(missing): "/missing"}}})
    assert not missing.exists()
    assert gateway.containers() == before
    other = gateway.offer("mosquitto:3.0.0", entrypoint="/nonesuch")
    with pytest.raises(AssertionError, match="/nonesuch: no such file"):
        gateway.up(containers={"mosquitto": {"image": other}})
    assert changed(before, gateway.containers()) == {"mosquitto"}
    assert gateway.up() == ["compose:up"]
    assert changed(before, gateway.containers()) == {"mosquitto"}
    assert gateway.containers().keys() == NAMES
    gateway.offer("mosquitto:3.0.0")
    assert gateway.up(containers={"mosquitto": {"image": other}}) == ["compose:up"]


def test_data_is_saved_and_put_back_and_the_containers_end(gateway: DockerGateway, tmp_path: Path) -> None:
    """CM5-257 to CM5-260: they stand still meanwhile, are stopped and started, and are taken down."""

    def ask(work: Callable[[Device], Awaitable[Any]]) -> Any:
        async def connected() -> Any:
            transport = LocalTransport()
            try:
                return await work(Device(gateway.described(connection={"sudo": "none"}), transport))
            finally:
                await transport.close()

        return asyncio.run(connected())

    gateway.up()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in gateway.docker.environment.items():
            patch.setenv(name, value)
        database, services = gateway.folder / "data/mosquitto/data/db", sorted(name[6:] for name in NAMES)
        database.write_text("kept", "utf-8")
        before = gateway.containers()
        file = tmp_path / "cabin.tar.gz"
        saved = ask(lambda device: device.backup(file, "2030-01-02T03:04:05+00:00"))
        assert saved["held"] == services
        assert gateway.containers() == before
        database.write_text("lost", "utf-8")
        restored = ask(lambda device: device.restore(file, stop=True, other_gateway=False))
        assert restored["held"] == services
        assert database.read_text("utf-8") == "kept"
        assert gateway.containers().keys() == NAMES
        assert ask(lambda device: device.down())
    assert gateway.docker.docker("ps", "--all", "--quiet") == ""
    assert database.exists()
    assert gateway.up() == ["compose:up"]
    assert gateway.containers().keys() == NAMES
