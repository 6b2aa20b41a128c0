"""Optimisers that need all of the data at every iteration; `train.whole_batch` runs them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from clearprop.settings import check_settings, real, whole


class WholeBatch:
    """An optimiser that sees the objective over all samples as one function of all parameters.

    One epoch of `Model.fit` is one iteration; `batch_size`, `shuffle` and the schedule have no effect, and there must
    be no random numbers in the network (dropout). The fit ends when the optimiser has converged, at the latest after
    `epochs` iterations.
    """

    def __post_init__(self) -> None:
        check_settings(self)


class SciPyMinimizer(WholeBatch):
    """One of `scipy.optimize.minimize`'s methods, on the objective and the gradient that is derived from it."""

    method: ClassVar[str]
    second_order: ClassVar[bool] = False

    def options(self) -> dict[str, Any]:
        """Return SciPy's options."""
        raise NotImplementedError


@dataclass(frozen=True)
class LBFGS(SciPyMinimizer):
    """Limited-memory BFGS (Liu and Nocedal, 1989; Byrd et al., 1995), by SciPy's L-BFGS-B without bounds.

    Attributes:
        memory: how many pairs of steps and gradient changes stand for the Hessian.
        gradient_tolerance: it has converged when no element of the gradient is larger,
        tolerance: or when the objective falls by less than this part of itself.
        line_search: the most evaluations of one line search.
    """

    memory: int = whole(10, 1)
    gradient_tolerance: float = real(1e-8, "[0, inf)")
    tolerance: float = real(1e-12, "[0, inf)")
    line_search: int = whole(20, 1)
    method = "L-BFGS-B"

    def options(self) -> dict[str, Any]:
        """Return SciPy's options."""
        return {
            "maxcor": self.memory,
            "gtol": self.gradient_tolerance,
            "ftol": self.tolerance,
            "maxls": self.line_search,
            "maxfun": 2**31 - 1,
        }


@dataclass(frozen=True)
class ConjugateGradient(SciPyMinimizer):
    """Nonlinear conjugate gradients of Polak and Ribiere (Nocedal and Wright, 2006, section 5.2), by SciPy.

    Attributes:
        gradient_tolerance: it has converged when no element of the gradient is larger.
    """

    gradient_tolerance: float = real(1e-8, "[0, inf)")
    method = "CG"

    def options(self) -> dict[str, Any]:
        """Return SciPy's options."""
        return {"gtol": self.gradient_tolerance}


@dataclass(frozen=True)
class NewtonCG(SciPyMinimizer):
    """Newton's method, its equations solved by conjugate gradients (Nocedal and Wright, 2006, section 7.1), by SciPy.

    Products of the Hessian and a vector are programs too: the objective derived twice.

    Attributes:
        tolerance: it has converged when the mean change of a parameter is smaller.
    """

    tolerance: float = real(1e-8, "[0, inf)")
    method = "Newton-CG"
    second_order = True

    def options(self) -> dict[str, Any]:
        """Return SciPy's options."""
        return {"xtol": self.tolerance}


@dataclass(frozen=True)
class LevenbergMarquardt(WholeBatch):
    """Damped Gauss-Newton for squared errors (Levenberg, 1944; Marquardt, 1963), the heir to MATLAB's trainlm.

    With residuals r and their Jacobian J, derived from the program: (J'J + mu D^2) d = -J'r;  w <- w + d if that
    lowers |r|^2, and then mu <- shrink mu; else mu <- grow mu and again. D holds the largest norms so far of J's
    columns (More, 1978), so that the scale of a parameter does not matter. The equations are solved by least squares on
    [J; sqrt(mu) D], never by J'J itself. One epoch is one accepted step.

    For networks of up to a few thousand parameters: J has a row for each output of each sample.

    Attributes:
        damping: the first mu.
        shrink, grow: what mu is multiplied by.
        tolerance: it has converged when a step is smaller than this part of the weights, or |r|^2 would fall by less
            than this part squared of itself.
    """

    damping: float = real(1e-3, "[0, inf)")
    shrink: float = real(0.1, "[0, 1)")
    grow: float = real(10.0, "[1, inf)")
    tolerance: float = real(1e-8, "[0, inf)")


@dataclass(frozen=True)
class BayesianRegularization(LevenbergMarquardt):
    """Levenberg-Marquardt on beta |r|^2 + alpha |w|^2, with both factors found on the way; the heir to trainbr.

    After each step gamma = P - 2 alpha trace(H^-1), the number of parameters that the data determine, of P, with
    H = 2 beta J'J + 2 alpha I;  alpha = gamma / (2 |w|^2);  beta = (N - gamma) / (2 |r|^2) (MacKay, 1992; Foresee and
    Hagan, 1997). Each epoch records gamma as `effective_parameters`, and alpha / beta as `weight_penalty`.
    """
