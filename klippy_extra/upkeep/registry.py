"""Has the tasks, and the running upkeep, for commands and endpoints."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from .. import contract

if TYPE_CHECKING:
    from ..outlook.print_follower import PrintFollower
    from ..task import Task
    from .commands import Commands
    from .problems import Problems
    from .upkeep import Upkeep


class Running(NamedTuple):
    """The objects that exist while the printer is ready."""

    upkeep: Upkeep
    commands: Commands
    follower: PrintFollower


class TaskRegistry:
    """The configured tasks, and the objects that run for them."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems
        self.tasks: dict[str, Task] = {}
        self.running: Running | None = None

    def find(self, name: str) -> Task | None:
        """Return the task with this name, this slug, or this first word of its name.

        In KlipperMaintenance, the name of `[maintain xyrods left side]` was `xyrods`.
        """
        tasks = self.tasks.values()
        named = [task for task in tasks if task.name == name]
        slugged = [task for task in tasks if task.slug == contract.slug(name)]
        worded = [task for task in tasks if task.name.split()[0] == name]
        matches = named or slugged or (worded if len(worded) == 1 else [])
        return matches[0] if matches else None
