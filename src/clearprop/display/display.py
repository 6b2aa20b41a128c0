"""What every display is: a listener that can be closed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType

from clearprop.train.events import Event


class Display(ABC):
    """A listener of a fit's events that shows them.

    It ends by itself with the fit. `close` ends it when the fit broke off with an exception, so that whatever was
    taken (a terminal's cursor) is given back; closing twice does no harm. As a context manager it closes itself.

    Attributes:
        patient: True: it may hear of the end of an epoch late, see `train.Listener`.
    """

    patient = True

    @abstractmethod
    def __call__(self, event: Event) -> None:
        """Show an event."""

    @abstractmethod
    def close(self) -> None:
        """Show nothing more, and give back what was taken."""

    def __enter__(self) -> Display:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
