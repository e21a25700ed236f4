"""Private files, capped logs, locks, passwords and endpoints."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from sandbox.credentials import load_or_make
from sandbox.endpoints import Endpoints, KubernetesEndpoint, PoolerEndpoint, PostgresEndpoint, VaultEndpoint
from sandbox.errors import SandboxError
from sandbox.files import is_locked, locked, make_directory, write_private
from sandbox.layout import Layout
from sandbox.logs import CappedLog, predecessor, tail

ENDPOINTS = Endpoints(
    postgres=PostgresEndpoint(host="127.0.0.1", port=1, username="postgres", password="s3cret-pg", sslmode="disable"),
    pooler=PoolerEndpoint(host="127.0.0.1", port=2, auth_role="pgbouncer_auth", auth_password="s3cret-pool"),
    vault=VaultEndpoint(address="https://127.0.0.1:3", ca_cert_pem="pem", root_token="s3cret-vault"),
    kubernetes=KubernetesEndpoint(
        server="https://127.0.0.1:4",
        kubeconfig="s3cret-kubeconfig",
        context="c",
        ca_cert_pem="pem",
    ),
)


def test_endpoints_are_kept_privately_and_read_back(tmp_path: Path) -> None:
    ENDPOINTS.save(tmp_path)
    assert Endpoints.load(tmp_path) == ENDPOINTS
    assert Endpoints.path(tmp_path).stat().st_mode & 0o777 == 0o600


def test_secrets_are_not_shown_by_chance() -> None:
    assert "s3cret" not in f"{ENDPOINTS} {ENDPOINTS!r}"


def test_missing_endpoints_say_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="sandbox start"):
        Endpoints.load(tmp_path)


def test_damaged_endpoints_are_an_error_that_repeats_no_secret(tmp_path: Path) -> None:
    Endpoints.path(tmp_path).write_text(ENDPOINTS.model_dump_json().replace('"port":1,', '"port":"s3cret-port",'))
    with pytest.raises(SandboxError, match="cannot be read") as caught:
        Endpoints.load(tmp_path)
    assert "s3cret" not in str(caught.value)


def test_passwords_are_made_once_and_are_different(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    made = load_or_make(path, tmp_path / "data")
    (tmp_path / "data").mkdir()
    assert load_or_make(path, tmp_path / "data") == made
    assert len({made.postgres, made.pgbouncer_auth}) == 2
    assert min(len(made.postgres), len(made.pgbouncer_auth)) >= 32
    assert made.postgres not in repr(made)
    assert path.stat().st_mode & 0o777 == 0o600


def test_damaged_passwords_are_an_error_that_repeats_nothing(tmp_path: Path) -> None:
    path = tmp_path / "credentials.json"
    path.write_text('{"postgres": "s3cret"}')
    with pytest.raises(SandboxError, match="sandbox reset") as caught:
        load_or_make(path, tmp_path / "data")
    assert "s3cret" not in str(caught.value)


def test_new_passwords_are_not_made_for_data_that_has_others(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with pytest.raises(SandboxError, match=r"credentials\.json is missing"):
        load_or_make(tmp_path / "credentials.json", tmp_path / "data")
    assert not (tmp_path / "credentials.json").exists()


def test_a_private_file_replaces_the_old_one_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    path.chmod(0o644)
    write_private(path, b"new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_keeps_the_old_file_and_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    (path / "in-it").touch()
    with pytest.raises(SandboxError, match=r"cannot write .*file.*FACTORY_STATE"):
        write_private(path, b"new")
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(SandboxError, match="cannot write"):
        write_private(tmp_path / "missing" / "file", b"new")
    with pytest.raises(SandboxError, match="cannot write"):
        make_directory(path / "in-it" / "below")


def test_directories_are_closed_to_others(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        Layout(tmp_path / "state").make()
    finally:
        os.umask(old)
    made = [path for path in (tmp_path / "state").rglob("*") if path.is_dir()]
    assert len(made) >= 6
    assert {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "state", *made)} == {"0o700"}


def test_the_unseal_keys_are_below_a_sandbox_directory(tmp_path: Path) -> None:
    assert Layout(tmp_path).cluster_keys == tmp_path / "sandbox" / "cluster-keys.json"


def test_a_log_stays_below_its_cap_and_keeps_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = CappedLog(path, cap=100)
    for number in range(52):
        log.write(f"line {number}\n".encode())
    log.close()
    assert path.stat().st_size <= 100
    assert predecessor(path).stat().st_size <= 100
    assert path.read_text().endswith("line 51\n")
    assert path.stat().st_mode & 0o777 == 0o600
    assert tail(path, 2) == "\n    line 50\n    line 51"
    assert tail(tmp_path / "none") == ""


def test_a_log_is_continued(tmp_path: Path) -> None:
    for text in (b"first\n", b"second\n"):
        log = CappedLog(tmp_path / "x.log")
        log.write(text)
        log.close()
    assert (tmp_path / "x.log").read_bytes() == b"first\nsecond\n"


def test_a_full_disk_costs_the_lines_and_nothing_else() -> None:
    log = CappedLog(Path("/dev/full"))
    log.write(b"lost\n")
    log.close()


def test_a_log_that_cannot_be_moved_away_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    log = CappedLog(path, cap=10)
    predecessor(path).mkdir()
    for line in (b"first\n", b"second\n"):
        log.write(line)
    predecessor(path).rmdir()
    log.write(b"third\n")
    log.close()
    assert predecessor(path).read_bytes() == b"first\n"
    assert path.read_bytes() == b"third\n"


def test_a_lock_is_held_by_one_and_the_second_is_told_that_it_waits(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    order: list[str] = []
    waits = threading.Event()

    def told() -> None:
        order.append("waits")
        waits.set()

    def second() -> None:
        with locked(path, told):
            order.append("second")

    assert not is_locked(path)
    with locked(path, lambda: order.append("never")):
        assert is_locked(path)
        thread = threading.Thread(target=second)
        thread.start()
        assert waits.wait(90)
        order.append("first is done")
    thread.join()
    assert order == ["waits", "first is done", "second"]
    assert not is_locked(path)
