"""The one error of this package."""


class ToolError(Exception):
    """A tool cannot be had: the message is complete and fit for the user (what, why, what to do)."""
