"""Directives of an SSH configuration file that would be passed over in silence."""

from __future__ import annotations

from pathlib import Path

import pytest
from asyncssh.config import SSHClientConfig

from components.host.ssh_config import FOLLOWED, WITHOUT_EFFECT, config_files, gives, not_followed


def names(text: str, folder: Path, host: str = "node") -> list[str]:
    (folder / "config").write_text(text)
    return [str(each) for each in not_followed(str(folder / "config"), host)]


def test_what_counts_as_followed_is_followed() -> None:
    known = set(SSHClientConfig._handlers)
    assert known >= FOLLOWED
    assert known - FOLLOWED - WITHOUT_EFFECT == {"host", "match"}
    assert not FOLLOWED & WITHOUT_EFFECT


def test_a_directive_is_named_with_its_place(tmp_path: Path) -> None:
    text = "Host node\n  User op\n  SecurityKeyProvider /x.so\nHost other\n  PubkeyAcceptedAlgorithms x\n"
    assert names(text, tmp_path) == [f"SecurityKeyProvider ({tmp_path}/config:3)"]
    assert names(text, tmp_path, "other") == [f"PubkeyAcceptedAlgorithms ({tmp_path}/config:5)"]
    assert names(text, tmp_path, "third") == []


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("BindInterface eth0", 1),
        ("bindinterface=eth0", 1),
        ("BindInterface = eth0", 1),
        ("  # BindInterface eth0", 0),
        ("ControlMaster auto", 0),
        ("ProxyJump hop", 0),
        ('IdentityFile "~/.ssh/a key"', 0),
        ("Host !node *\nBindInterface eth0", 0),
        ("Host other,no*\nBindInterface eth0", 1),
        ("Host n?de\nBindInterface eth0", 1),
        ("Match user root\nBindInterface eth0", 1),
    ],
)
def test_lines_are_read_as_openssh_does(line: str, count: int, tmp_path: Path) -> None:
    assert len(names(f"{line}\n", tmp_path)) == count


def test_included_files_count(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a.conf").write_text("BindInterface eth0\n")
    assert names(f"Include {tmp_path}/more/*.conf\n", tmp_path) == [f"BindInterface ({tmp_path}/more/a.conf:1)"]
    (tmp_path / "more" / "b.conf").write_text(f"Include {tmp_path}/more/b.conf\nBindInterface eth0\n")
    assert names(f"Include {tmp_path}/more/b.conf\n", tmp_path), "a circle ends"


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("Ciphers aes128-ctr", True),
        ("Host other\nCiphers aes128-ctr", False),
        ("Match user root\nciphers=aes128-ctr", True),
        ("User op", False),
    ],
)
def test_whether_the_operator_has_chosen(text: str, given: bool, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"{text}\n")
    assert gives(str(tmp_path / "config"), "node", "ciphers") is given


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    assert config_files(str(tmp_path / "none")) == []
    assert config_files("") == []
    assert not_followed(str(tmp_path / "none"), "node") == []
    assert not gives("", "node", "ciphers")


def test_a_file_that_cannot_be_read_is_left_to_whoever_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> str:
        raise PermissionError(13, "Permission denied")

    (tmp_path / "config").touch()
    monkeypatch.setattr(Path, "read_text", refuse)
    assert not_followed(str(tmp_path / "config"), "node") == []
