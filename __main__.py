"""Entry of the Pulumi program: load the settings, build the stack, export its outputs."""

import pulumi

from stacks import build
from stacks.settings.program import from_pulumi

for name, value in build(from_pulumi()).items():
    pulumi.export(name, value)
