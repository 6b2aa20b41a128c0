"""The plots of docs/catalogue, as SVG text: functions of one number with their derivatives, schedules over a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from clearprop import losses, nn, ops, optim
from clearprop.backends.reference import Reference
from clearprop.grad import derive
from clearprop.ir import Batch, Type
from clearprop.randomness import Key

Array = np.ndarray[Any, Any]
Curves = tuple[Array, ...]
"""A function and its derivative at X; or a schedule alone, from the first step of a fit to its last."""
WIDTH, HEIGHT, COLUMNS = 150, 130, 5
REACH = 4.0
X = np.linspace(-REACH, REACH, 81)


def curves(function: Callable[[ops.Tensor], ops.Tensor]) -> Curves:
    """Return a function's values and derivatives at X."""
    with ops.tracing("plot") as builder, nn.applying(nn.Context(training=False)):
        y = function(ops.placeholder("x", Type("float64", (Batch(), 1))))
        program = builder.finish([("sum", ops.sum(y).value), ("y", y.value)])
    outputs = Reference().compile(derive(program, ["x"], of="sum"))({"x": X[:, None]})
    return outputs["y"].reshape(-1), outputs["grad.x"].reshape(-1)


def of_activation(layer: nn.Layer) -> Curves:
    params = layer.init(Key(0), (1,))
    return curves(lambda x: layer.apply({name: ops.constant(a, "float64") for name, a in params.items()}, x))


def of_loss(loss: losses.Loss) -> Curves:
    """A loss of one number with the target 0, or of one answer that is 1."""
    answer = 1.0 if isinstance(loss, losses.BinaryLoss) else 0.0
    return curves(lambda z: loss.per_sample(z, z * 0.0 + answer))


def of_schedule(schedule: optim.Schedule) -> Curves:
    """The factor over 40 epochs of two steps in which the loss does not change, from 0 to the largest (or 1)."""
    factors, memory = [], schedule.first()
    for step in range(len(X)):
        factors.append(schedule(optim.Position(step, 2, len(X) - 1, memory)))
        if step % 2:
            memory = schedule.observe(memory, dict.fromkeys(schedule.watched, 1.0))
    return ((2 * np.array(factors) / max(1.0, *factors) - 1) * REACH,)


def panels() -> dict[str, Mapping[str, Curves]]:
    """Return the panels of each plot: activations of one number, losses of one output, schedules."""
    together = (nn.GLU, nn.Maxout, nn.Softmax, nn.LogSoftmax, nn.Softmin)
    single = {name: make() for name, make in nn.ACTIVATIONS.items()}
    scalar = {name: kind() for name, kind in losses.LOSSES.items() if issubclass(kind, losses.OutputLoss)}
    return {
        "activations.svg": {k: of_activation(layer) for k, layer in single.items() if not isinstance(layer, together)},
        "losses.svg": {name: of_loss(loss) for name, loss in scalar.items()},
        "schedules.svg": {name: of_schedule(kind()) for name, kind in optim.SCHEDULES.items()},
    }


def svg(drawn: Mapping[str, Curves]) -> str:
    """Return a sheet of panels: a function drawn through, its derivative dashed, both cut at 4; a schedule alone."""
    rows = -(-len(drawn) // COLUMNS)
    size = f"{COLUMNS * WIDTH} {rows * HEIGHT}"
    body = [_panel(title, curve, *divmod(place, COLUMNS)) for place, (title, curve) in enumerate(drawn.items())]
    style = (
        "<style>text{font:11px sans-serif;text-anchor:middle;fill:#444}path{fill:none;stroke-width:1.6}"
        ".axis{stroke:#ccc;stroke-width:1}.value{stroke:#1f5fa8}.slope{stroke:#d9822b;stroke-dasharray:3 2}</style>"
    )
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}">'
    return "\n".join([head, style, '<rect width="100%" height="100%" fill="#fff"/>', *body, "</svg>"]) + "\n"


def _panel(title: str, drawn: Curves, row: int, column: int) -> str:
    middle, floor = WIDTH / 2, HEIGHT / 2 + 8
    function = len(drawn) == 2
    left, bottom = (middle, floor) if function else (8, HEIGHT - 5)
    axes = f"M8 {bottom:g}H{WIDTH - 8}M{left:g} 20V{HEIGHT - 6}"
    lines = [f'<path class="axis" d="{axes}"/>']
    named = zip(("value", "slope"), drawn, strict=False)
    lines += [f'<path class="{name}" d="{_path(y, breaks=function)}"/>' for name, y in named]
    where = f"translate({column * WIDTH} {row * HEIGHT})"
    return f'<g transform="{where}"><text x="{middle:g}" y="14">{title}</text>{"".join(lines)}</g>'


def _path(y: Array, breaks: bool) -> str:
    """Return a curve, lifted off where it leaves the panel or, if it breaks there, jumps."""
    across, down = (WIDTH - 16) / (2 * REACH), (HEIGHT - 26) / (2 * REACH)
    words, pen = [], False
    for place, (x, height) in enumerate(zip(X, y, strict=True)):
        inside = abs(height) <= REACH
        jumps = breaks and place > 0 and abs(height - y[place - 1]) > 0.6
        if inside:
            point = f"{WIDTH / 2 + x * across:.1f} {HEIGHT / 2 + 8 - height * down:.1f}"
            words.append(("L" if pen and not jumps else "M") + point)
        pen = inside
    return "".join(words)
