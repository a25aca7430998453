"""How many experts a token uses of how many, and in which groups they are looked for."""

from __future__ import annotations

from dataclasses import dataclass

from inferflux.ir.frontend.limits import MAX_SIZE
from inferflux.ir.frontend.typed import Fields


@dataclass(frozen=True, slots=True)
class Choice:
    """Numbers that fit each other: ``route`` takes them as they are."""

    num_experts: int
    num_used: int
    num_groups: int = 1
    num_used_groups: int = 1
    group_best: int = 1  # of a group's scores, which it is compared by


@dataclass(frozen=True, slots=True)
class ChoiceKeys:
    """Under which keys a format states them; without ``default`` it must state its groups."""

    experts: str
    used: str
    groups: str
    used_groups: str
    default: int | None = None  # of the number of groups, and of those that are used

    def read_ungrouped(self, fields: Fields) -> Choice:
        """Of files whose groups say nothing."""
        count = fields.whole(self.experts, 1, MAX_SIZE)
        return Choice(count, fields.whole(self.used, 1, count))

    def read(self, fields: Fields, group_best: int) -> Choice:
        """With groups, which have ``group_best`` experts or more."""
        count = fields.whole(self.experts, 1, MAX_SIZE)
        groups = fields.whole(self.groups, 1, count, self.default)
        if count % groups or count < groups * group_best:
            problem = f"is {groups}: {count} experts are no such groups of {group_best} or more"
            raise fields.wrong(self.groups, problem)
        used_groups = fields.whole(self.used_groups, 1, groups, self.default)
        used = fields.whole(self.used, 1, count // groups * used_groups)
        return Choice(count, used, groups, used_groups, group_best)
