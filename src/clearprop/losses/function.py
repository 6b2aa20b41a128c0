"""Any Python function of output and target as a loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from clearprop.errors import SettingsError, ShapeError
from clearprop.ir import Type
from clearprop.losses.loss import Loss, over_outputs
from clearprop.ops import Tensor, show


@dataclass(frozen=True)
class FunctionLoss(Loss):
    """A function of (output, target), written with operators and `ops.*`; its derivative is derived.

    It returns the loss of each sample (n,), or of each output (n, ...), whose mean is taken. A target (n,) meets
    outputs (n, 1) as (n, 1); any other comes as it is, whole numbers as int64. `Model(..., loss=f)` makes one of it. To
    load a saved model that holds one, give the function by name: `load(path, custom={"f": f})`.
    """

    function: Callable[[Tensor, Tensor], Tensor]

    def __post_init__(self) -> None:
        if not callable(self.function) or isinstance(self.function, type):
            raise SettingsError(
                f"a loss is a name, a Loss or a function of output and target, received {self.function!r}"
            )

    def target_type(self, output: Type, given: Type) -> Type:
        """The target's own type, in the output's dtype if it is a float; (n,) stands for (n, 1)."""
        if not given.dtype.startswith("float"):
            return given.with_dtype("int64")
        flat = output.shape[1:] == (1,) and given.shape == output.shape[:1]
        return output if flat else given.with_dtype(output.dtype)

    def per_sample(self, output: Tensor, target: Tensor) -> Tensor:
        """Write function(output, target), the mean over the outputs, of shape (n,)."""
        result = self.function(output, target)
        if not isinstance(result, Tensor):
            raise TypeError(f"the function of {self!r} must return a tensor, and returned {type(result).__name__}")
        if not result.rank or result.shape[0] != output.shape[0]:
            raise ShapeError(f"the function of {self!r} must return a loss a sample, (n,), not {show(result.shape)}")
        return over_outputs(result)
