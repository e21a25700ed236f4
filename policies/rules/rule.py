"""What a rule is: which resources it is about, and what is wrong with one of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from policies.facts import Facts
from policies.view import Path, ResourceView, show


@dataclass(frozen=True)
class Violation:
    """One thing that is wrong with a resource."""

    path: Path
    """The property at fault; empty when the whole resource is."""
    what: str
    """What is wrong, a clause without the property's full value: that may be a secret."""
    fix: str
    """What to do about it."""

    def __str__(self) -> str:
        """Return what the operator reads, below the line where the engine names rule and resource."""
        where = f"property {show(self.path)}: " if self.path else ""
        return f"{where}{self.what}. {self.fix}"


@dataclass(frozen=True)
class Rule:
    """One row of the policy catalogue (section 16.4); `applies` and `check` are pure."""

    id: str
    description: str
    applies: Callable[[ResourceView, Facts], bool]
    check: Callable[[ResourceView, Facts], Iterator[Violation]]
    judges_facts: bool = False
    """True for the one rule which looks at incomplete facts; the others cannot be decided with them."""
