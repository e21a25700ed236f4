"""A `sudo` for tests: it asks, refuses and counts as the real one does, and gives no rights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

# Asks for the password unless it need not, gives up when its input ends, and never asks more than three times.
_PROGRAM = """#!/bin/sh
asked=0; may_ask=1
while :; do
  case $1 in
    -n) may_ask=0; shift ;;
    -S|-k) shift ;;
    -p) shift 2 ;;
    --) shift; break ;;
  esac
done
[ -e "$0.nopasswd" ] && exec "$@"
[ $may_ask = 1 ] || { echo "sudo: a password is required" >&2; exit 1; }
echo x >>"$0.attempts"
while [ $asked -lt 3 ]; do
  IFS= read -r given || { echo "sudo: no password was provided" >&2; exit 1; }
  [ "$given" = "$(cat "$0.password")" ] && exec "$@"
  echo "Sorry, try again." >&2; asked=$((asked + 1)); echo x >>"$0.attempts"
done
echo "sudo: 3 incorrect password attempts" >&2; exit 1
"""


@dataclass(frozen=True)
class FakeSudo:
    """The program in a folder of its own, to be put before the others on PATH."""

    program: Path

    @classmethod
    def write(cls, folder: Path, password: str) -> FakeSudo:
        """Write it; it takes this password."""
        program = folder / "sudo"
        program.write_text(_PROGRAM)
        program.chmod(0o755)
        Path(f"{program}.password").write_text(password)
        return cls(program)

    def ask_no_more(self) -> None:
        """Behave as for a user who needs no password."""
        Path(f"{self.program}.nopasswd").touch()

    @property
    def attempts(self) -> int:
        """How often a password was read, the end of the input included."""
        counted = Path(f"{self.program}.attempts")
        return len(counted.read_text().split()) if counted.exists() else 0
