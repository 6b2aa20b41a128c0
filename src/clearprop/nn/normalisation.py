"""Normalisation: over the batch, over a sample, over groups of its channels, over its neighbours."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

from clearprop import ops
from clearprop.errors import ShapeError
from clearprop.ir import Shape
from clearprop.nn.allowance import filled
from clearprop.nn.context import is_frozen, is_training, keep_average
from clearprop.nn.layer import Arrays, Layer, Tensors
from clearprop.ops import Tensor, show
from clearprop.randomness import Key
from clearprop.settings import flag, real, whole

MEAN, VARIANCE = "mean", "variance"
"""The running averages of a `BatchNorm`, by name."""


class Normalisation(Layer):
    """A layer that brings its input to mean 0 and variance 1, then multiplies it by gamma and adds beta, by channel."""

    affine: bool
    shifts = True

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return gamma (channels), all 1, and beta (channels), all 0, where the layer is affine."""
        channels = self._channels(shapes)
        if not self.affine:
            return {}
        return {"gamma": filled(1.0, channels)} | ({"beta": filled(0.0, channels)} if self.shifts else {})

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return gamma times the normalised x, plus beta."""
        self._channels(x.shape[1:])
        with ops.current_builder().at(quantity="a"):
            a = self.normalised(params, x)
            if self.affine:
                a = a * params["gamma"] + params["beta"] if self.shifts else a * params["gamma"]
            return ops.label(a, "a")

    @abstractmethod
    def normalised(self, params: Tensors, x: Tensor) -> Tensor:
        """Write the normalised x."""

    def _channels(self, shapes: Shape) -> int:
        channels = shapes[-1] if shapes else None
        if not isinstance(channels, int):
            raise ShapeError(
                f"{type(self).__name__} takes samples with a last axis of channels, received samples {show(shapes)}"
            )
        return channels


def _standardised(x: Tensor, axes: tuple[int, ...], epsilon: float) -> Tensor:
    """(x - mean) / sqrt(variance + epsilon), with the mean and the variance (divided by the count) over axes."""
    centred = ops.name(x - ops.mean(x, axes, keepdims=True), "centred")
    v = ops.mean(ops.square(centred), axes, keepdims=True)
    return centred * (1.0 / ops.sqrt(v + epsilon))


@dataclass(frozen=True)
class BatchNorm(Normalisation):
    """Batch normalisation: a = gamma (x - m) / sqrt(v + epsilon) + beta, channel by channel (Ioffe and Szegedy, 2015).

    Shapes: x and a (n, ..., channels), gamma, beta, mean and variance (channels). In training, m and v are the mean and
    the variance (divided by the count) of the batch over all axes but the last, and running averages of them are kept:

        mean <- (1 - momentum) mean + momentum m
        variance <- (1 - momentum) variance + momentum v count / (count - 1)

    as in PyTorch (Keras calls 1 - momentum the momentum, and keeps v itself). Otherwise m and v are these averages.
    They are parameters of the model that the optimiser leaves alone: saved with it, and with the checkpoints of a run.
    A batch of one number a channel, which has no variance, leaves them as they are. Weights of samples do not count in
    m and v. Where `mean` is frozen (`frozen="batchnorm1.*"`), the layer does in training as it does otherwise.

    Optimisers of all samples at once, such as L-BFGS, take the statistics of all samples in the place of the averages.
    Where an optimiser averages the weights, no step has seen those that are evaluated: the averages for them are the
    means of m and v count / (count - 1), batch by batch, in a pass of its own over the training samples (Izmailov et
    al., 2018), wherever the averaged weights are evaluated or kept.

    Attributes:
        momentum: how much the newest batch counts in the running averages.
        epsilon: what is added to the variance.
        affine: whether there are gamma and beta; a layer's bias before this one does nothing: leave it out.
        name: what the layer is called in messages, files and source.
    """

    momentum: float = real(0.1, "(0, 1]")
    epsilon: float = real(1e-5, "(0, inf)")
    affine: bool = flag(True)
    name: str | None = None

    def init(self, key: Key, shapes: Shape) -> Arrays:
        """Return gamma and beta, and the running averages: mean 0 and variance 1."""
        channels = self._channels(shapes)
        return super().init(key, shapes) | {MEAN: filled(0.0, channels), VARIANCE: filled(1.0, channels)}

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x normalised by the batch in training, and by the running averages otherwise."""
        self._channels(x.shape[1:])
        with ops.current_builder().at(quantity="a"):
            if is_training() and not is_frozen(MEAN):
                return ops.label(self.normalised(params, x), "a")
            scale = self._scale(params, params[VARIANCE])
            shift = -params[MEAN] * scale
            shift = ops.name(params["beta"] + shift if self.affine else shift, "shift")
            return ops.label(x * scale + shift, "a")

    def normalised(self, params: Tensors, x: Tensor) -> Tensor:
        """Write x normalised by the batch, with gamma and beta, and keep the running averages."""
        axes = tuple(range(x.rank - 1))
        m = ops.name(ops.mean(x, axes), "m")
        centred = ops.name(x - m, "centred")
        v = ops.name(ops.mean(ops.square(centred), axes), "v")
        count = ops.element_count(x, axes)
        several = ops.minimum(count - 1.0, 1.0)  # 0 for a batch of one number a channel
        unbiased = v * (count / ops.maximum(count - 1.0, 1.0))
        keep_average(MEAN, params[MEAN], m, self.momentum, several)
        keep_average(VARIANCE, params[VARIANCE], unbiased, self.momentum, several)
        a = centred * self._scale(params, v)
        return a + params["beta"] if self.affine else a

    def _scale(self, params: Tensors, v: Tensor) -> Tensor:
        scale = 1.0 / ops.sqrt(v + self.epsilon)
        return ops.name(scale * params["gamma"] if self.affine else scale, "scale")


@dataclass(frozen=True)
class LayerNorm(Normalisation):
    """a = gamma (x - m) / sqrt(v + epsilon) + beta with m and v over the last axis of x (Ba et al., 2016).

    Each place of each sample is normalised by itself: x and a (n, ..., channels), gamma and beta (channels). To
    normalise an image as a whole, take `GroupNorm(1)`.

    Attributes:
        epsilon: what is added to the variance, which is divided by the count.
        affine: whether there are gamma and beta.
    """

    epsilon: float = real(1e-5, "(0, inf)")
    affine: bool = flag(True)
    name: str | None = None

    def normalised(self, params: Tensors, x: Tensor) -> Tensor:
        """Write x normalised over its last axis."""
        return _standardised(x, (x.rank - 1,), self.epsilon)


@dataclass(frozen=True)
class RMSNorm(Normalisation):
    """a = gamma x / sqrt(mean(x^2) + epsilon), the mean over the last axis of x (Zhang and Sennrich, 2019).

    Shapes: x and a (n, ..., channels), gamma (channels).
    """

    epsilon: float = real(1e-6, "(0, inf)")
    affine: bool = flag(True)
    name: str | None = None
    shifts = False

    def normalised(self, params: Tensors, x: Tensor) -> Tensor:
        """Write x divided by its root mean square."""
        return x * (1.0 / ops.sqrt(ops.mean(ops.square(x), -1, keepdims=True) + self.epsilon))


@dataclass(frozen=True)
class GroupNorm(Normalisation):
    """Each group of channels of a sample is normalised over its channels and places (Wu and He, 2018).

    Shapes: x and a (n, *lengths, channels), gamma and beta (channels). Channels are shared out over groups in order.

    Attributes:
        groups: how many; 1 normalises the sample as a whole.
        epsilon: what is added to the variance, which is divided by the count.
        affine: whether there are gamma and beta.
    """

    groups: int = whole(8, 1)
    epsilon: float = real(1e-5, "(0, inf)")
    affine: bool = flag(True)
    name: str | None = None

    def normalised(self, params: Tensors, x: Tensor) -> Tensor:
        """Write x normalised group by group."""
        return _by_groups(x, self.groups, self._channels(x.shape[1:]), self.epsilon)

    def _channels(self, shapes: Shape) -> int:
        channels = super()._channels(shapes)
        if channels % self.groups:
            raise ShapeError(f"{channels} channels cannot be shared out over {self.groups} groups")
        return channels


@dataclass(frozen=True)
class InstanceNorm(Normalisation):
    """Each channel of a sample is normalised over its places (Ulyanov et al., 2016).

    Shapes: x and a (n, *lengths, channels), gamma and beta (channels).

    Attributes:
        epsilon: what is added to the variance, which is divided by the count.
        affine: whether there are gamma and beta.
    """

    epsilon: float = real(1e-5, "(0, inf)")
    affine: bool = flag(True)
    name: str | None = None

    def normalised(self, params: Tensors, x: Tensor) -> Tensor:
        """Write x normalised channel by channel."""
        if x.rank < 3:
            raise ShapeError(
                f"InstanceNorm takes places and channels, (n, *lengths, channels), received {show(x.shape)}"
            )
        return _standardised(x, tuple(range(1, x.rank - 1)), self.epsilon)


def _by_groups(x: Tensor, groups: int, channels: int, epsilon: float) -> Tensor:
    grouped = ops.reshape(x, (*x.shape[:-1], groups, channels // groups))
    axes = (*range(1, x.rank - 1), x.rank)
    return ops.reshape(_standardised(grouped, axes, epsilon), x.shape)


@dataclass(frozen=True)
class LocalResponseNorm(Layer):
    """a = x / (k + alpha s)^beta, with s the mean of x^2 over `size` neighbouring channels (Krizhevsky et al., 2012).

    The channels from c - size // 2 to c + (size - 1) // 2 count for channel c, and those beyond the ends as 0, as in
    PyTorch; the paper has the sum in the place of the mean, and so another alpha.
    """

    size: int = whole(5, 1)
    alpha: float = real(1e-4, "[0, inf)")
    beta: float = real(0.75, "[0, inf)")
    k: float = real(1.0, "(0, inf)")
    name: str | None = None

    def apply(self, params: Tensors, x: Tensor) -> Tensor:
        """Return x divided by the response around it."""
        if x.rank < 2:
            raise ShapeError(f"LocalResponseNorm takes channels, (n, ..., channels), received {show(x.shape)}")
        last, before = x.rank - 1, (0,) * (x.rank - 1)
        with ops.current_builder().at(quantity="a"):
            squares = ops.pad(ops.square(x), (*before, self.size // 2), (*before, (self.size - 1) // 2))
            near = ops.mean(ops.windows(squares, (last,), (self.size,)), x.rank)
            return ops.label(x / ops.power(near * self.alpha + self.k, self.beta), "a")
