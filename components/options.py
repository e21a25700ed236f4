"""Resource options that every component gives to its own resources."""

from collections.abc import Sequence

import pulumi

__all__ = ["child_options"]


def child_options(
    parent: pulumi.Resource,
    opts: pulumi.ResourceOptions | None,
    *,
    after: Sequence[pulumi.Resource] = (),
    protect: bool | None = None,
    ignore_changes: list[str] | None = None,
) -> pulumi.ResourceOptions:
    """Make a resource a child of ``parent`` that waits for what the parent waits for, and for ``after``.

    Pulumi passes providers on to children, but not ``depends_on``.
    """
    own = pulumi.ResourceOptions(parent=parent, depends_on=list(after), protect=protect, ignore_changes=ignore_changes)
    waits = pulumi.ResourceOptions(depends_on=opts.depends_on if opts else None)
    return pulumi.ResourceOptions.merge(own, waits)
