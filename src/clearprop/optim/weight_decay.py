"""Weight decay for any optimiser."""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from clearprop.errors import SettingsError
from clearprop.optim.adam import Adam
from clearprop.optim.optimizer import Optimizer, Slots, Tensors, scaled
from clearprop.optim.schedule_free import ScheduleFree
from clearprop.optim.wrapper import Wrapper, inside
from clearprop.settings import choice, real


@dataclass(frozen=True)
class WeightDecay(Wrapper):
    """Pulls weights toward zero, decoupled or through the gradient.

    `form` is "decoupled", w <- w - rate decay w and then the inner step at the gradient of the old w (Loshchilov and
    Hutter, 2019), or "gradient", g <- g + decay w (PyTorch's weight_decay of SGD, Adam and others: the gradient of
    decay |w|^2 / 2). For plain SGD both are the same. `parameters` holds patterns of the names that decay, such as
    "*.W"; all do by default.

    `ScheduleFree` steps from a sequence of its own, which a decoupled decay around it cannot reach: the decay belongs
    inside, `ScheduleFree(WeightDecay(...))`.
    """

    optimizer: Optimizer = field(default_factory=Adam)
    decay: float = real(0.01, "[0, inf)")
    form: str = choice("decoupled", "gradient")
    parameters: tuple[str, ...] = ("*",)

    def __post_init__(self) -> None:
        super().__post_init__()
        patterns = (self.parameters,) if isinstance(self.parameters, str) else tuple(self.parameters)
        object.__setattr__(self, "parameters", patterns)
        if self.form == "decoupled" and any(isinstance(inner, ScheduleFree) for inner in inside(self)):
            raise SettingsError(
                "WeightDecay around ScheduleFree would have no effect: ScheduleFree steps from its sequence z and not "
                "from the decayed weights. Put the decay inside, as in ScheduleFree(WeightDecay(SGD(0.1), 0.01)), or "
                "take form='gradient'"
            )

    def apply(self, parameters: Tensors, gradients: Tensors, slots: Tensors, hyper: Tensors) -> tuple[Slots, Slots]:
        """Write the decay and the inner optimiser."""
        decay = self.own(hyper)["decay"]
        chosen = [name for name in parameters if any(fnmatchcase(name, pattern) for pattern in self.parameters)]
        if self.form == "gradient":
            pulled = {name: gradients[name] + scaled(decay, parameters[name]) for name in chosen}
            return self.optimizer.apply(parameters, {**gradients, **pulled}, slots, hyper)
        rate = hyper["learning_rate"] * decay
        shrunk = {name: parameters[name] - scaled(rate, parameters[name]) for name in chosen}
        return self.optimizer.apply({**parameters, **shrunk}, gradients, slots, hyper)
