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
    """Make a resource a child of ``parent`` that waits for what the parent waits for.

    Pulumi passes providers on to children, but not ``depends_on``. A resource which comes ``after`` other children
    waits for them alone: they wait for the rest, and each name less is a line less of the state.
    """
    own = pulumi.ResourceOptions(parent=parent, protect=protect, ignore_changes=ignore_changes)
    waits = pulumi.ResourceOptions(depends_on=list(after) or (opts.depends_on if opts else None))
    return pulumi.ResourceOptions.merge(own, waits)
