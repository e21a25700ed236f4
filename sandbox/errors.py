"""The one error of the sandbox: a sentence for the person at the terminal."""


class SandboxError(Exception):
    """What went wrong, where, and what to do: shown without a traceback."""
