"""Write the figures of PyTorch that tests/golden compares recurrent layers with, in float64.

Run it by hand as `tools/make_golden.py`, in an environment of its own with torch 2.13.0.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "golden"
TIMES, FEATURES, UNITS = 5, 3, 4

CASES: list[tuple[str, dict[str, Any], type[torch.nn.RNNBase], dict[str, Any]]] = [
    ("SimpleRNN", {}, torch.nn.RNN, {}),
    ("SimpleRNN", {"activation": "relu"}, torch.nn.RNN, {"nonlinearity": "relu"}),
    ("LSTM", {}, torch.nn.LSTM, {}),
    ("GRU", {"reset": "after"}, torch.nn.GRU, {}),
]


def figures(kind: type[torch.nn.RNNBase], arguments: dict[str, Any], layers: int, both: bool) -> dict[str, Any]:
    """Return the parameters, the outputs, and the gradients of a weighted sum of them."""
    torch.manual_seed(5)
    network = kind(FEATURES, UNITS, layers, batch_first=True, bidirectional=both, **arguments)
    x = torch.randn(2, TIMES, FEATURES, requires_grad=True)
    outputs, state = network(x)
    last = state[0] if isinstance(state, tuple) else state
    weights = torch.arange(1.0, outputs.numel() + 1).reshape(outputs.shape) / outputs.numel()
    (outputs * weights).sum().backward()
    named = dict(network.named_parameters())
    return {
        "layers": layers,
        "bidirectional": both,
        "x": x.tolist(),
        "dx": x.grad.tolist(),
        "outputs": outputs.tolist(),
        "last": last.tolist(),
        "parameters": {name: value.tolist() for name, value in named.items()},
        "gradients": {name: value.grad.tolist() for name, value in named.items()},
    }


def main() -> None:
    """Write recurrent.json."""
    torch.set_default_dtype(torch.float64)
    cases = [
        {"type": name, "arguments": own} | figures(kind, arguments, layers, both)
        for name, own, kind, arguments in CASES
        for layers, both in ((1, False), (2, True))
    ]
    made_by = f"tools/make_golden_recurrent.py with torch {torch.__version__.partition('+')[0]}, float64"
    text = json.dumps({"made_by": made_by, "cases": cases}, separators=(",", ":"))
    (FOLDER / "recurrent.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
