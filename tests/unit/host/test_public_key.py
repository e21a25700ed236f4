"""Public keys as text: what is one, and how it is shown."""

from __future__ import annotations

import subprocess
from pathlib import Path

import asyncssh
import pytest

from components.host.public_key import algorithm, fingerprint, normalised

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIKq4nYQfXgIGs8rBnyJ0J7YkQdEovnz4BpNSbUTqG0JX"


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256", "ssh-rsa"])
def test_keys_are_read_and_shown_as_openssh_does(kind: str, tmp_path: Path) -> None:
    key = asyncssh.generate_private_key(kind)
    text = key.export_public_key().decode().strip()
    assert normalised(f"  {text} root@host.example.test\n") == text
    assert algorithm(text) == kind
    (tmp_path / "key.pub").write_text(text)
    shown = subprocess.run(["ssh-keygen", "-lf", tmp_path / "key.pub"], capture_output=True, text=True, check=True)
    assert fingerprint(text) == shown.stdout.split()[1]


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "does not begin with a kind of key"),
        ("AAAAC3NzaC1lZDI1NTE5", "does not begin with a kind of key"),
        ("host.example.test ssh-ed25519 AAAA", "does not begin with a kind of key"),
        ("ssh-ed25519", "is no ssh-ed25519 key"),
        ("ssh-ed25519 ####", "is not base64"),
        (KEY[:-8], "is no ssh-ed25519 key"),
        (KEY.replace("ssh-ed25519", "ssh-rsa"), "is no ssh-rsa key"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----", "is a private key"),
        ("SHA256:pHNU03QWxKUPl0C2x7IScR61Xc48ZoB44HgJ5nV8tzc", "does not begin with a kind of key"),
    ],
)
def test_what_is_no_public_key_is_told_without_repeating_it(text: str, mistake: str) -> None:
    with pytest.raises(ValueError, match=mistake) as refused:
        normalised(text)
    assert "ssh_host_ed25519_key.pub" in str(refused.value)
    assert len(text) < 20 or text not in str(refused.value)
