"""With one operation at a time nothing may wait for what has not begun: that is, for what it does not depend on."""

from __future__ import annotations

import pytest

from tests.engine.lifecycle.conftest import STACK
from tests.support.project import Project

pytestmark = pytest.mark.engine


def test_a_stack_comes_up_and_goes_one_operation_at_a_time(project: Project) -> None:
    project.factory("up", "--", "--parallel", "1")
    made = [urn.split("::")[2].rpartition("$")[2] for urn in project.resources(STACK)]
    assert {"kubernetes:apps/v1:Deployment", "kubernetes:core/v1:Service"} <= set(made)
    project.factory("destroy", "--yes", "--", "--parallel", "1")
    assert project.resources(STACK) == {}
    project.remove(STACK)
