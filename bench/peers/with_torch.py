"""PyTorch: eager with the fused Adam, and the whole step (forward, gradient, Adam) as one compiled graph.

Both gather by an index tensor out of the whole data, in an order that `torch.randperm` draws each epoch.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator

import torch
from torch.nn import functional

from clearprop.bench import Data, Predict, Side, Train, Unavailable, Workload, count_of
from clearprop.bench.images import ImageWorkload
from clearprop.bench.sequences import GATES, SequenceWorkload
from clearprop.bench.workloads import Array
from peers.torch_images import image_network
from peers.torch_sequences import sequence_loss, sequence_network

BETA1, BETA2, EPSILON = 0.9, 0.999, 1e-8
Tensors = list[torch.Tensor]


def sides(threads: Iterable[int]) -> list[Side]:
    """Return every form."""
    return [form(count) for count in threads for form in (Eager, Compiled)]


def network(workload: Workload) -> torch.nn.Sequential:
    """Return the workload's network."""
    torch.manual_seed(0)
    if isinstance(workload, ImageWorkload):
        return image_network(workload)
    if isinstance(workload, SequenceWorkload):
        return sequence_network(workload)
    activation = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[workload.activation]
    *hidden, last = itertools.pairwise(workload.sizes)
    layers: list[torch.nn.Module] = []
    for sizes in hidden:
        normalised = [torch.nn.BatchNorm1d(sizes[1])] if workload.norm else []
        layers += [torch.nn.Linear(*sizes, bias=not workload.norm), *normalised, activation()]
        layers += [torch.nn.Dropout(workload.dropout)] if workload.dropout else []
    return torch.nn.Sequential(*layers, torch.nn.Linear(*last))


def loss_of(workload: Workload) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return the workload's loss."""
    if isinstance(workload, SequenceWorkload):
        return sequence_loss
    return functional.mse_loss if workload.classes is None else functional.cross_entropy


def batches(workload: Workload, steps: int) -> Iterator[torch.Tensor]:
    """Yield the rows of each step; each epoch has an order of its own, and leaves a last small batch out."""
    size = min(workload.batch, workload.rows)
    while True:
        for rows in torch.randperm(workload.rows)[: workload.rows // size * size].split(size):
            if steps == 0:
                return
            yield rows
            steps -= 1


class Torch:
    """What both forms share."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.form = count_of(threads)

    def prepare(self, workload: Workload, data: Data) -> Train:
        torch.set_num_threads(self.threads)
        x, y = (torch.from_numpy(array) for array in data)
        step = self.step(workload)

        def train(steps: int) -> float:
            torch.set_num_threads(self.threads)
            start = time.perf_counter()
            torch.set_flush_denormal(True)  # its best form; only while it trains, for it holds for all of the thread
            for rows in batches(workload, steps):
                step(x.index_select(0, rows), y.index_select(0, rows))
            torch.set_flush_denormal(False)
            return (time.perf_counter() - start) / steps

        return train

    def step(self, workload: Workload) -> Callable[[torch.Tensor, torch.Tensor], object]:
        """Return one step of training on a batch."""
        raise NotImplementedError

    def predictor(self, workload: Workload, data: Data) -> Predict:
        torch.set_num_threads(self.threads)
        model = network(workload).eval()

        def predict(rows: Array) -> Array:
            with torch.inference_mode():
                out = model(torch.from_numpy(rows))
                return (out if workload.classes is None else out.softmax(-1)).numpy()

        return predict


class Eager(Torch):
    """One operation at a time, and the fused Adam."""

    name = "torch"

    def step(self, workload: Workload) -> Callable[[torch.Tensor, torch.Tensor], object]:
        model, loss = network(workload), loss_of(workload)
        optimizer = torch.optim.Adam(model.parameters(), lr=workload.rate, fused=True)

        def step(x: torch.Tensor, y: torch.Tensor) -> None:
            optimizer.zero_grad(set_to_none=True)
            loss(model(x), y).backward()
            optimizer.step()

        return step


class Compiled(Torch):
    """One graph for the whole step, which changes parameters and slots in place."""

    name = "torch.compile"

    def step(self, workload: Workload) -> Callable[[torch.Tensor, torch.Tensor], object]:
        if isinstance(workload, SequenceWorkload) and workload.cell in GATES:
            raise Unavailable("torch.compile writes all time steps out: minutes to compile, and slower than eager")
        torch._dynamo.reset()
        model, loss = network(workload), loss_of(workload)
        names = [name for name, _ in model.named_parameters()]
        weights: Tensors = [value.detach() for value in model.parameters()]
        running = dict(model.named_buffers())
        m, v = ([torch.zeros_like(value) for value in weights] for _ in "mv")
        count = torch.zeros(())

        def cost(weights: Tensors, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
            later = {name: value.clone() for name, value in running.items()}
            values = dict(zip(names, weights, strict=True)) | later
            return loss(torch.func.functional_call(model, values, (x,)), y), later

        @torch.compile(fullgraph=True, dynamic=False)
        def step(weights: Tensors, m: Tensors, v: Tensors, x: torch.Tensor, y: torch.Tensor) -> None:
            gradients, later = torch.func.grad(cost, has_aux=True)(weights, x, y)
            for name, value in running.items():
                value.copy_(later[name])
            count.add_(1)
            size = workload.rate * torch.sqrt(1 - BETA2**count) / (1 - BETA1**count)
            for weight, mean, square, gradient in zip(weights, m, v, gradients, strict=True):
                mean.lerp_(gradient, 1 - BETA1)
                square.mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
                weight.sub_(size * mean / (square.sqrt() + EPSILON))

        def run(x: torch.Tensor, y: torch.Tensor) -> None:
            try:
                step(weights, m, v, x, y)
            except torch._dynamo.exc.BackendCompilerFailed as error:
                raise Unavailable(f"torch.compile fails: {str(error).splitlines()[0]}") from error

        return run
