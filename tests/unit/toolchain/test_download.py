"""The vendors' releases, served by a double of their sites."""

import json
import socket
import stat
import tarfile
from pathlib import Path
from unittest import mock

import httpx
import pytest

import toolchain
from tests.unit.toolchain.doubles import Answer, FakeGo, ReleaseServer, program, tarred, zipped
from toolchain.catalogue import catalogue
from toolchain.releases import Packing

RELEASED = [name for name, spec in catalogue().items() if spec.release]
BY_PACKING = ["etcd", "vault", "kube-apiserver", "kwok"]


def installed(cache: Path) -> list[str]:
    tools = cache / "tools"
    return sorted(path.name for path in tools.iterdir()) if tools.exists() else []


@pytest.mark.parametrize("name", RELEASED)
def test_a_good_release_is_installed_without_a_build(
    releases: ReleaseServer, cache: Path, go: FakeGo, name: str
) -> None:
    releases.publish(name)
    path = toolchain.ensure([name], print)[name]
    release = catalogue()[name].release
    assert release
    assert path == cache / "tools" / f"{name}-{release.version}-official" / name
    assert path.stat().st_mode & 0o777 == 0o755
    tool = toolchain.locate(name)
    assert tool
    assert (tool.version, tool.origin, tool.official) == (release.version, toolchain.Origin.VENDOR, True)
    assert go.calls == []
    assert [file.name for file in path.parent.glob(".*")] == []


def test_the_second_call_asks_nobody(releases: ReleaseServer) -> None:
    releases.publish("kwok")
    first = toolchain.ensure(["kwok"], print)
    asked = list(releases.asked)
    assert toolchain.ensure(["kwok"], print) == first
    assert releases.asked == asked


def test_the_engine_is_a_directory_with_its_language_host(releases: ReleaseServer) -> None:
    releases.publish("pulumi")
    folder = toolchain.ensure(["pulumi"], print)["pulumi"].parent
    assert {"pulumi", "pulumi-language-python", "pulumi-language-python-exec"} <= {
        file.name for file in folder.iterdir()
    }
    assert (folder / "pulumi-language-python").stat().st_mode & stat.S_IXUSR
    assert not (folder / "README.md").stat().st_mode & stat.S_IXUSR


@pytest.mark.parametrize("name", ["etcd", "vault"])
def test_only_the_program_is_kept_of_the_other_archives(releases: ReleaseServer, name: str) -> None:
    releases.publish(name)
    assert [file.name for file in toolchain.ensure([name], print)[name].parent.iterdir()] == [name]


@pytest.mark.parametrize("name", BY_PACKING)
def test_a_wrong_checksum_is_refused_and_not_replaced_by_a_build(
    releases: ReleaseServer, cache: Path, go: FakeGo, name: str
) -> None:
    asset, _ = releases.publish(name)
    asset.body += b"tampered with"
    with pytest.raises(toolchain.ToolError, match="checksum is wrong, nothing was installed"):
        toolchain.ensure([name], print)
    assert installed(cache) == []
    assert go.calls == []


@pytest.mark.parametrize("sums", ["", "no checksum here\n", "0123  other-file\n", "<html>moved</html>"])
@pytest.mark.parametrize("name", BY_PACKING)
def test_a_missing_checksum_is_refused(releases: ReleaseServer, cache: Path, go: FakeGo, name: str, sums: str) -> None:
    releases.publish(name, sums=sums)
    with pytest.raises(toolchain.ToolError, match="no checksum is published"):
        toolchain.ensure([name], print)
    assert installed(cache) == []
    assert go.calls == []


def test_a_digest_of_another_kind_is_no_checksum(releases: ReleaseServer) -> None:
    _, sums = releases.publish("kwok")
    description = json.loads(sums.body)
    for asset in description["assets"]:
        asset["digest"] = "sha512:" + "0" * 128
    sums.body = json.dumps(description).encode()
    with pytest.raises(toolchain.ToolError, match="no checksum is published"):
        toolchain.ensure(["kwok"], print)


@pytest.mark.parametrize("name", BY_PACKING)
def test_an_asset_whose_checksum_is_not_found_is_refused(
    releases: ReleaseServer, cache: Path, go: FakeGo, name: str
) -> None:
    _, sums = releases.publish(name)
    sums.status = 404
    with pytest.raises(toolchain.ToolError, match="no checksum is published"):
        toolchain.ensure([name], print)
    assert installed(cache) == []
    assert go.calls == []


def test_a_transfer_that_keeps_breaking_off_is_an_error(releases: ReleaseServer, cache: Path, go: FakeGo) -> None:
    asset, _ = releases.publish("etcd")
    asset.cut = 10
    with pytest.raises(toolchain.ToolError, match="broke off 3 times"):
        toolchain.ensure(["etcd"], print)
    assert asset.asked == 3
    assert installed(cache) == []
    assert go.calls == []


def test_a_transfer_that_broke_off_once_is_repeated(releases: ReleaseServer) -> None:
    asset, _ = releases.publish("etcd")
    asset.cut, asset.cuts = 10, 1
    assert toolchain.ensure(["etcd"], print)["etcd"].is_file()
    assert asset.asked == 2


def link(name: str, kind: bytes, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


GOOD = {"etcd-release/etcd": program("etcd", "3.6.14")}
UNSAFE = {
    "parent folder": tarred({**GOOD, "etcd-release/../../escaped": b"x"}),
    "absolute": tarred({**GOOD, "/escaped": b"x"}),
    "symbolic link": tarred(GOOD, link("etcd-release/etcdctl", tarfile.SYMTYPE, "/etc/passwd")),
    "hard link": tarred(GOOD, link("etcd-release/etcdctl", tarfile.LNKTYPE, "etcd-release/etcd")),
    "device": tarred(GOOD, link("etcd-release/null", tarfile.CHRTYPE, "")),
}


@pytest.mark.parametrize("mistake", UNSAFE)
def test_an_unsafe_member_condemns_the_archive(releases: ReleaseServer, cache: Path, mistake: str) -> None:
    releases.publish("etcd", asset=UNSAFE[mistake])
    with pytest.raises(toolchain.ToolError, match="unsafe member"):
        toolchain.ensure(["etcd"], print)
    assert installed(cache) == []
    assert list(cache.parent.rglob("escaped")) == []


@pytest.mark.parametrize(
    ("member", "mode"),
    [("../escaped", 0o100755), ("/escaped", 0o100755), ("a\\..\\escaped", 0o100755), ("link", 0o120777)],
)
def test_an_unsafe_member_of_a_zip_condemns_it(releases: ReleaseServer, cache: Path, member: str, mode: int) -> None:
    releases.publish("vault", asset=zipped({member: b"/etc/passwd"}, mode))
    with pytest.raises(toolchain.ToolError, match="unsafe member"):
        toolchain.ensure(["vault"], print)
    assert installed(cache) == []
    assert list(cache.parent.rglob("escaped")) == []


@pytest.mark.parametrize("name", ["etcd", "vault"])
def test_something_else_than_an_archive_is_refused(releases: ReleaseServer, cache: Path, name: str) -> None:
    releases.publish(name, asset=b"<html>please log in</html>")
    with pytest.raises(toolchain.ToolError, match="not a readable"):
        toolchain.ensure([name], print)
    assert installed(cache) == []


def test_a_release_without_its_program_is_refused(releases: ReleaseServer, cache: Path) -> None:
    releases.publish("etcd", asset=tarred({"etcd-release/README.md": b"x"}))
    with pytest.raises(toolchain.ToolError, match="holds no etcd"):
        toolchain.ensure(["etcd"], print)
    assert installed(cache) == []


def test_a_release_of_another_version_is_refused(releases: ReleaseServer, cache: Path) -> None:
    releases.publish("kwok", asset=program("kwok", "0.1.0"))
    with pytest.raises(toolchain.ToolError, match="not the version it should be"):
        toolchain.ensure(["kwok"], print)
    assert installed(cache) == []


@pytest.mark.parametrize("status", [403, 404, 429, 500, 503])
def test_a_release_that_is_not_there_is_built(
    releases: ReleaseServer, go: FakeGo, said: list[str], status: int
) -> None:
    for answer in releases.publish("etcd"):
        answer.status = status
    path = toolchain.ensure(["etcd"], said.append)["etcd"]
    assert not path.parent.name.endswith("official")
    assert len(go.calls) == 1
    assert any(line.startswith("etcd: the official release is out of reach: ") and str(status) in line for line in said)


def test_a_silent_host_is_asked_once_and_the_tools_are_built(
    go: FakeGo, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        monkeypatch.setenv("FACTORY_MIRROR", f"http://127.0.0.1:{unused.getsockname()[1]}")
        with mock.patch.object(httpx.Client, "send", autospec=True, side_effect=httpx.Client.send) as send:
            paths = toolchain.ensure(["etcd", "kwok"], said.append)
    assert set(paths) == {"etcd", "kwok"}
    assert send.call_count == 1
    assert len(go.calls) == 2
    assert sum("cannot be reached" in line for line in said) == 2


def test_a_name_that_no_host_can_have_is_out_of_reach(
    cache: Path, go: FakeGo, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_MIRROR", f"http://{'a' * 64}.example.test")
    assert toolchain.ensure(["etcd"], said.append)["etcd"].is_relative_to(cache)
    assert len(go.calls) == 1


def test_a_host_that_never_answers_counts_as_out_of_reach(
    releases: ReleaseServer, go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolchain.download.TIMEOUT", httpx.Timeout(0.1))
    for answer in releases.publish("etcd"):
        answer.delay = 0.5
    toolchain.ensure(["etcd"], print)
    assert len(go.calls) == 1


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ALL_PROXY", "socks5://operator:hunter2@127.0.0.1:1080"),
        ("https_proxy", "gopher://127.0.0.1"),
        ("HTTPS_PROXY", "http://operator:hunter2#2@127.0.0.1:8080"),
        ("SSL_CERT_FILE", "/nowhere/bundle.pem"),
    ],
)
def test_surroundings_that_no_client_can_be_made_of_are_named_and_the_tools_built(
    go: FakeGo, said: list[str], monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)
    toolchain.ensure(["etcd"], said.append)
    assert len(go.calls) == 1
    line = next(line for line in said if line.startswith("the official releases are out of reach: what "))
    assert variable in line
    assert "hunter2" not in "".join(said)


def test_a_platform_without_a_release_is_built(
    releases: ReleaseServer, go: FakeGo, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("toolchain.download.go_platform", lambda: ("linux", "riscv64"))
    toolchain.ensure(["etcd"], said.append)
    assert releases.asked == []
    assert len(go.calls) == 1
    assert any("no release for this platform" in line for line in said)


def test_build_only_asks_no_vendor(releases: ReleaseServer, go: FakeGo, monkeypatch: pytest.MonkeyPatch) -> None:
    releases.publish("etcd")
    monkeypatch.setenv("FACTORY_TOOLS", "build")
    toolchain.ensure(["etcd"], print)
    assert releases.asked == []
    assert len(go.calls) == 1


def test_build_only_ignores_a_release_in_the_cache(releases: ReleaseServer, monkeypatch: pytest.MonkeyPatch) -> None:
    releases.publish("etcd")
    toolchain.ensure(["etcd"], print)
    monkeypatch.setenv("FACTORY_TOOLS", "build")
    assert toolchain.locate("etcd") is None


def test_without_a_mirror_the_vendors_own_sites_are_asked() -> None:
    hosts = set()
    for name in RELEASED:
        release = catalogue()[name].release
        assert release
        for os, arch in (platform.split("-") for platform in release.platforms):
            locations = release.locations(name, os, arch)
            assert locations
            for url in locations:
                assert "{" not in url
                hosts.add(httpx.URL(url).host)
    assert hosts == {"github.com", "api.github.com", "dl.k8s.io", "releases.hashicorp.com"}


def test_the_layouts_are_the_vendors() -> None:
    locations = {
        name: spec.release.locations(name, "linux", "amd64") for name, spec in catalogue().items() if spec.release
    }
    pulumi = "https://github.com/pulumi/pulumi/releases/download/v3.272.0/"
    assert locations["pulumi"] == (
        pulumi + "pulumi-v3.272.0-linux-x64.tar.gz",
        pulumi + "pulumi-3.272.0-checksums.txt",
    )
    etcd = "https://github.com/etcd-io/etcd/releases/download/v3.6.14/"
    assert locations["etcd"] == (etcd + "etcd-v3.6.14-linux-amd64.tar.gz", etcd + "SHA256SUMS")
    kubectl = "https://dl.k8s.io/release/v1.36.4/bin/linux/amd64/kubectl"
    assert locations["kubectl"] == (kubectl, kubectl + ".sha256")
    vault = "https://releases.hashicorp.com/vault/1.21.1/vault_1.21.1_"
    assert locations["vault"] == (vault + "linux_amd64.zip", vault + "SHA256SUMS")
    kwok = "https://github.com/kubernetes-sigs/kwok/releases/download/v0.8.0/kwok-linux-amd64"
    assert locations["kwok"] == (kwok, "https://api.github.com/repos/kubernetes-sigs/kwok/releases/tags/v0.8.0")
    compose = "https://github.com/docker/compose/releases/download/v2.40.3/docker-compose-linux-x86_64"
    assert locations["docker-compose"] == (compose, compose + ".sha256")
    assert {spec.release.packing for spec in catalogue().values() if spec.release} == set(Packing)


def test_an_unknown_answer_of_the_double_is_404(releases: ReleaseServer) -> None:
    releases.answers["/known"] = Answer(b"yes")
    assert httpx.get(releases.url + "/known").text == "yes"
    assert httpx.get(releases.url + "/unknown").status_code == 404
