"""PyTorch's networks of sequences: its own recurrent layers, and attention by `scaled_dot_product_attention`."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from clearprop.bench.sequences import SequenceWorkload

CELLS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}


def sequence_network(workload: SequenceWorkload) -> nn.Sequential:
    """Return the network; it takes tokens (n, T)."""
    embedding, units, last = workload.sizes
    first = nn.Embedding(workload.tokens, embedding)
    if workload.cell == "transformer":
        block = Block(units, workload.heads, workload.hidden)
        return nn.Sequential(first, Places(workload.length, units), block, nn.LayerNorm(units), nn.Linear(units, last))
    return nn.Sequential(first, Recurrent(workload), nn.Linear(units, last))


def sequence_loss(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy over all tokens."""
    return functional.cross_entropy(out.flatten(0, -2), y.flatten())


class Recurrent(nn.Module):
    """The states of a recurrent layer, or the last one."""

    def __init__(self, workload: SequenceWorkload) -> None:
        super().__init__()
        self.inner = CELLS[workload.cell](workload.sizes[0], workload.sizes[1], batch_first=True)
        self.each = workload.each

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        outputs = self.inner(x)[0]
        return outputs if self.each else outputs[:, -1]


class Places(nn.Module):
    """A learnt vector for each place, added."""

    def __init__(self, length: int, units: int) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(length, units))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.places


class Block(nn.Module):
    """Causal attention and two dense layers, normalised before, with ways around."""

    def __init__(self, units: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(units), nn.LayerNorm(units)
        self.qkv, self.out = nn.Linear(units, 3 * units), nn.Linear(units, units)
        self.forth = nn.Sequential(nn.Linear(units, hidden), nn.ReLU(), nn.Linear(hidden, units))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, times, units = x.shape
        parts = self.qkv(self.norm1(x)).view(n, times, 3, self.heads, units // self.heads).permute(2, 0, 3, 1, 4)
        seen = functional.scaled_dot_product_attention(*parts.unbind(), is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(n, times, units))
        return x + self.forth(self.norm2(x))
