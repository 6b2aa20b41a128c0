"""Parameter groups: other settings, or another optimiser, for parameters by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from clearprop.errors import SettingsError
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Optimizer, Slots, Tensors
from clearprop.optim.wrapper import Wrapper


@dataclass(frozen=True)
class ParameterGroups(Wrapper):
    """The first group whose pattern matches a parameter's name trains it; `optimizer` trains all others.

    ::

        optim.ParameterGroups(cp.Adam(), [("*.b", cp.SGD(0.1)), ("dense1.*", cp.Adam(1e-4))])

    The hyper-parameters of the first group are inputs of the program led by `group1.`, and so on. A schedule
    multiplies every group's rate.
    """

    optimizer: Optimizer = field(default_factory=Adam)
    groups: tuple[tuple[str, Optimizer], ...] = ()

    def __post_init__(self) -> None:
        groups: tuple[Any, ...] = tuple(tuple(each) if isinstance(each, list) else each for each in self.groups)
        for group in groups:
            pair = isinstance(group, tuple) and len(group) == 2
            if not pair or not isinstance(group[0], str) or not isinstance(group[1], Optimizer):
                raise SettingsError(f"a group is a pattern and an optimiser, ('*.b', SGD(0.1)), received {group!r}")
        object.__setattr__(self, "groups", groups)
        super().__post_init__()

    @property
    def parts(self) -> tuple[Optimizer, ...]:
        """The rest's optimiser and the groups'."""
        return (self.optimizer, *(optimizer for _, optimizer in self.groups))

    def hyper(self) -> dict[str, float]:
        """Those of the rest, and each group's led by its number."""
        values = self.optimizer.hyper()
        for number, (_, optimizer) in enumerate(self.groups, 1):
            values |= {f"group{number}.{name}": value for name, value in optimizer.hyper().items()}
        return values

    def members(self, names: Sequence[str]) -> list[tuple[Optimizer, str, list[str]]]:
        """Return each optimiser, what leads its hyper-parameters, and the names it trains.

        Raises:
            SettingsError: a group's pattern matches no parameter that is left for it.
        """
        rest, found = list(names), []
        for number, (pattern, optimizer) in enumerate(self.groups, 1):
            own = [name for name in rest if fnmatchcase(name, pattern)]
            if not own:
                raise SettingsError(f"the group {pattern!r} matches none of {', '.join(rest) or 'no parameters'}")
            found.append((optimizer, f"group{number}.", own))
            rest = [name for name in rest if name not in own]
        return [(self.optimizer, "", rest), *found]

    def init_all(self, parameters: Tensors) -> Slots:
        """The slots of all groups."""
        slots: Slots = {}
        for optimizer, _, names in self.members(list(parameters)):
            slots |= optimizer.init_all({name: parameters[name] for name in names})
        return slots

    def apply(self, parameters: Tensors, gradients: Tensors, slots: Tensors, hyper: Tensors) -> tuple[Slots, Slots]:
        """Write each group's optimiser on its parameters."""
        new: Slots = {}
        after: Slots = {}
        for optimizer, lead, names in self.members(list(parameters)):
            own = {name.removeprefix(lead): value for name, value in hyper.items() if name.startswith(lead)}
            part = {name: parameters[name] for name in names}
            moved, state = optimizer.apply(part, gradients, slots, {"t": hyper["t"], **own})
            new, after = new | moved, after | state
        return {name: new[name] for name in parameters}, after

    def evaluated(self, names: Sequence[str]) -> dict[str, str]:
        """As each group's optimiser has it."""
        return {
            key: slot for optimizer, _, own in self.members(names) for key, slot in optimizer.evaluated(own).items()
        }
