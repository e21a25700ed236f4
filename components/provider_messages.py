"""What a dynamic provider says to the person at the terminal: an error as its sentence, a line, a warning."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_sentence", "tell", "warn"]


@contextmanager
def one_sentence(*foreseen: type[Exception], raised: type[Exception] = RuntimeError) -> Iterator[None]:
    """Raise ``raised`` with the sentence of a ``foreseen`` error, and let Python print no more than that."""
    try:
        yield
    except foreseen as error:
        sys.tracebacklimit = 0
        raise raised(str(error)) from None


def tell(line: str) -> None:
    """Say something: what the provider's process writes here, the engine shows among its messages."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def warn(line: str) -> None:
    """Say something that a person should look at."""
    tell(f"warning: {line}")
