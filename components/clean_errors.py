"""How a dynamic provider fails: with the sentence of an error that was foreseen, and no more."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["one_sentence"]


@contextmanager
def one_sentence(*foreseen: type[Exception], raised: type[Exception] = RuntimeError) -> Iterator[None]:
    """Raise ``raised`` with the sentence of a ``foreseen`` error, and let Python print no more than that."""
    try:
        yield
    except foreseen as error:
        sys.tracebacklimit = 0
        raise raised(str(error)) from None
