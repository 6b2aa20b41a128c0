"""Training steps that the native backend is tried on."""

from __future__ import annotations

from clearprop import nn
from clearprop.backends.native.jit import host_features, host_machine
from clearprop.backends.native.targets import TARGETS, choose
from clearprop.errors import SettingsError
from clearprop.ir import Batch, Program, Type
from clearprop.losses import BinaryCrossEntropy, CrossEntropy, Loss, SquaredError
from clearprop.optim import SGD, Adam, Optimizer
from clearprop.passes import optimize
from clearprop.randomness import Key
from clearprop.train.step import Signature, build_evaluation, build_prediction, build_step

N = Batch()


def runnable() -> list[str]:
    """Return the targets that this CPU runs."""
    found = []
    for name in TARGETS:
        try:
            choose(host_features(), host_machine(), name)
        except SettingsError:
            continue
        found.append(name)
    return found


TARGETS_HERE = runnable()

CASES: dict[str, tuple[nn.Layer, Loss, Optimizer, int | tuple[int, ...]]] = {
    "mlp": (nn.Sequential(nn.Dense(13, "relu"), nn.Dense(5)), CrossEntropy(), Adam(), 7),
    "deep": (nn.Sequential(nn.Dense(33, "tanh"), nn.Dense(17, "sigmoid"), nn.Dense(3)), CrossEntropy(), Adam(), 31),
    "dropout": (
        nn.Sequential(nn.Dense(19, "relu", penalty=nn.L2(0.01)), nn.Dropout(0.3), nn.Dense(2)),
        CrossEntropy(),
        Adam(),
        5,
    ),
    "residual": (
        nn.Sequential(nn.Dense(16), nn.Residual(nn.Sequential(nn.Dense(16, "tanh"), nn.Dense(16))), nn.Dense(1)),
        SquaredError(),
        SGD(),
        3,
    ),
    "images": (
        nn.Sequential(
            *(nn.Conv2D(6, 3, "relu", padding="same"), nn.MaxPool2D(2), nn.DepthwiseConv2D(2, activation="tanh")),
            *(nn.BatchNorm(), nn.AveragePool2D(2, stride=1), nn.Flatten(), nn.Dense(3)),
        ),
        CrossEntropy(),
        SGD(),
        (7, 6, 2),
    ),
    "lstm": (
        nn.Sequential(nn.LSTM(17, outputs="all", start="learnt"), nn.SimpleRNN(5, memory=2, reverse=True), nn.Dense(3)),
        CrossEntropy(),
        Adam(),
        (6, 4),
    ),
    "gru": (
        nn.Sequential(
            nn.Masking(),
            nn.Bidirectional(nn.GRU(9, outputs="all", checkpoint=2)),
            nn.Dropout(0.2),
            nn.EncoderDecoder(nn.GRU(8), nn.GRU(8, reset="before"), 3),
        ),
        SquaredError(),
        SGD(),
        (5, 3),
    ),
    "transformer": (
        nn.Sequential(
            *(nn.PositionEncoding("learnt"), nn.TransformerBlock(2, 9, "gelu", causal=True, dropout=0.1)),
            *(nn.Masking(), nn.TransformerBlock(4, 5, norm="post"), nn.Dense(3)),
        ),
        SquaredError(),
        SGD(),
        (6, 4),
    ),
    "binary": (nn.Sequential(nn.Dense(8, "leaky_relu"), nn.Dense(1)), BinaryCrossEntropy(), Adam(), 2),
}


def signature(network: nn.Layer, loss: Loss, features: int | tuple[int, ...], dtype: str) -> Signature:
    sample = (features,) if isinstance(features, int) else features
    arrays = network.init(Key(0), sample)
    parameters = {name: Type(dtype, array.shape) for name, array in arrays.items()}
    x = Type(dtype, (N, *sample))
    output = build_prediction(network, loss, Signature(parameters, (), x, x)).outputs[0][1].type
    y = Type("int64", (N,)) if isinstance(loss, CrossEntropy) else output
    return Signature(parameters, tuple(parameters), x, y)


def programs(case: str, dtype: str) -> dict[str, Program]:
    """Return the optimised programs of a case: the training step, the evaluation and the prediction."""
    network, loss, optimizer, features = CASES[case]
    types = signature(network, loss, features, dtype)
    return {
        "step": optimize(build_step(network, loss, optimizer, types).step),
        "evaluation": optimize(build_evaluation(network, loss, types)),
        "prediction": optimize(build_prediction(network, loss, types)),
    }


__all__ = ["CASES", "TARGETS_HERE", "programs", "signature"]
