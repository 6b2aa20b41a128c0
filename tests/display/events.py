"""A fit told by its events, with a clock that the test moves."""

from collections.abc import Iterator

from clearprop.train.events import (
    CheckpointWritten,
    Diverged,
    EpochEnded,
    Event,
    FitEnded,
    FitStarted,
    Listener,
    Progressed,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def started(step: int = 0, epochs: int = 3, steps: int = 10) -> FitStarted:
    return FitStarted(step, epochs, epochs * steps, steps, 320, 0, 1234)


def progressed(step: int, steps: int = 10, loss: float = 0.5) -> Progressed:
    epoch = (step - 1) // steps
    return Progressed(step, epoch + 1, step - epoch * steps, loss, 0.01, 3200.0)


def epoch_ended(epoch: int, steps: int = 10, **quantities: float) -> EpochEnded:
    record = {"epoch": float(epoch), "learning_rate": 0.01, "loss": 1 / epoch} | quantities
    return EpochEnded(epoch, epoch * steps, record, 1.0, False)


def fit(epochs: int = 3, steps: int = 10, **quantities: float) -> Iterator[Event]:
    """Every event of a fit that finishes."""
    yield started(epochs=epochs, steps=steps)
    for epoch in range(1, epochs + 1):
        for batch in range(1, steps + 1):
            yield progressed((epoch - 1) * steps + batch, steps)
        yield epoch_ended(epoch, steps, **quantities)
        yield CheckpointWritten(epoch * steps, "runs/a/checkpoint.safetensors")
    yield FitEnded("finished", epochs * steps, epochs, None, 12.5)


def diverged(step: int = 15) -> Iterator[Event]:
    """Every event of a fit that diverges in its second epoch, in the order in which the loop publishes them."""
    yield started()
    yield progressed(10)
    yield epoch_ended(1, val_loss=0.4)
    yield FitEnded("diverged", step, 1, 1, 3.2)
    yield Diverged(
        step,
        f"training diverged at step {step + 1} (epoch 2): dense1.z (z) of layer dense1 is the first to be NaN, in 4 "
        "of 32 elements. The weights from before this step are kept. The learning rate was 0.1: try a tenth of it",
    )


def play(listener: Listener, events: Iterator[Event], clock: Clock | None = None, seconds: float = 0.1) -> None:
    for event in events:
        listener(event)
        if clock is not None:
            clock.now += seconds
