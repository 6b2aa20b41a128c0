"""How a nest loads and stores elements: each once a turn of its loops, and those of several rows gathered once."""

from __future__ import annotations

from clearprop.backends.native.emitter import SCALARS, Register, known, vector
from clearprop.backends.native.extents import ONE, ZERO
from clearprop.backends.native.kernels import Access
from clearprop.backends.native.loops import Axes
from clearprop.backends.native.regions import Kernel, Lanes


class Elements:
    """The elements that a nest reads and writes, at the variables of its loops."""

    def __init__(self, kernel: Kernel, axes: Axes, outer: int, announced: int) -> None:
        """Take the loops, how many of them are outer ones, and how many lanes a store has that is asked for before."""
        self.kernel, self.axes, self.announced = kernel, axes, announced
        self.out = kernel.out
        self.inner = len(axes.extents) - outer
        self.loaded: dict[tuple[Access, tuple[str, ...], Lanes], Register] = {}
        self.stores: list[tuple[Register, Access, tuple[str, ...], Lanes]] = []
        self.scratch: dict[Access, str] = {}
        self.at_hand: set[tuple[Access, tuple[str, ...]]] = set()

    def forget(self) -> None:
        """Begin with other rows: nothing of them is at hand."""
        self.scratch, self.at_hand = {}, set()

    def begin(self) -> None:
        """Begin a turn of the loops."""
        self.loaded, self.stores = {}, []

    def load(self, place: Access, variables: tuple[str, ...], lanes: Lanes) -> Register:
        """Load elements; those of several rows lie apart, and are gathered once for all loops."""
        if not self._lie_apart(place, lanes):
            key = (place, variables, lanes)
            if key not in self.loaded:
                self.loaded[key] = self.kernel.load(place, variables, lanes)
            return self.loaded[key]
        if self._turn(place, variables) in self.at_hand:
            address = self._address(place, variables, lanes)
            dtype = place.source.type.dtype
            return self.out.value(f"load {vector(SCALARS[dtype], lanes.count)}, ptr {address}", dtype, lanes.count)
        item = self.kernel.load(place, variables, lanes)
        self.out.do(f"store {item}, ptr {self._address(place, variables, lanes)}")
        return item

    def store(self, item: Register, place: Access, variables: tuple[str, ...], lanes: Lanes) -> None:
        """Store elements at the end of the turn; those of several rows stay at hand for later loops."""
        self.stores.append((item, place, variables, lanes))

    def flush(self) -> None:
        """End a turn: write its stores, which come last, for a load soon after a store 4096 bytes away waits for it."""
        for item, place, variables, lanes in self.stores:
            self.kernel.store(item, place, variables, lanes)
            if place.strides[-1:] == (ONE,) and lanes.count == self.announced and not lanes.mask:
                self.kernel.announce(place, variables)
            if self._lie_apart(place, lanes):
                self.out.do(f"store {item}, ptr {self._address(place, variables, lanes)}")
        self.begin()

    def _lie_apart(self, place: Access, lanes: Lanes) -> bool:
        return self.axes.across and lanes.count > 1 and place.strides[-1] not in (ZERO, ONE)

    def _turn(self, place: Access, variables: tuple[str, ...]) -> tuple[Access, tuple[str, ...]]:
        """Return what fills a scratch: an access, in all turns of the loops or in one that is written out."""
        inner = zip(variables, place.strides[: self.inner], strict=False)
        return place, tuple(variable for variable, stride in inner if stride != ZERO and known(variable))

    def _address(self, place: Access, variables: tuple[str, ...], lanes: Lanes) -> str:
        """Return the address, on the stack, where the elements of these rows lie next to each other."""
        at, step = "0", 1
        inner = zip(variables, place.strides, self.axes.extents[self.axes.outer :], strict=False)
        for variable, stride, size in reversed(list(inner)):
            # what does not move along a loop is at one place, outside of that loop too
            at = self.out.add(at, "0" if stride == ZERO else self.out.multiply(variable, str(step)))
            step *= size.coefficient
        type_ = vector(SCALARS[place.source.type.dtype], lanes.count)
        self.at_hand.add(self._turn(place, variables))
        if place not in self.scratch:
            self.scratch[place] = "%" + self.out.name("scratch")
            self.out.entry.append(f"  {self.scratch[place]} = alloca [{step} x {type_}], align 64")
        return self.out.get(f"getelementptr {type_}, ptr {self.scratch[place]}, i64 {at}")
