"""Sums of products over windows, as depthwise convolution and its derivatives have them, as contractions.

    sum(x y)                        becomes  contraction(x, y)
    overlap_add(g w), stride 1      becomes  contraction(flip(windows(pad(g))), w)

where lanes run along one axis of all three, and w is the same at all places. `contraction` is a node of this backend
alone: the sum over `axis` of the product of two views of one shape; the axes of the result are in the order `kept`, and
its lanes run along the last of them.
"""

from __future__ import annotations

from collections.abc import Mapping

from clearprop.backends.native.extents import ONE, ZERO
from clearprop.backends.native.kernels import Access
from clearprop.backends.native.placing import is_tiling, window_sizes
from clearprop.backends.native.pooling import Rewriter
from clearprop.backends.native.views import access, full_index, is_view, numbers, reduced_axes, resolve
from clearprop.ir import Attribute, Batch, Dim, Node, Program, Type, Value


def with_contractions(program: Program) -> Program:
    """Write sums of products over windows as contractions."""
    if not any(node.op in ("windows", "overlap_add") for node in program.nodes):
        return program
    return _Contractor(program).program()


class _Contractor(Rewriter):
    mark = "sum"

    def program(self) -> Program:
        for node in self.source.nodes:
            node = self.follow(node)
            factors = self._product(node.inputs[0]) if node.op in ("sum", "overlap_add") else None
            if factors is None or not self._is_written(node, factors):
                self.append(node)
        return self.finish()

    def _is_written(self, node: Node, factors: tuple[Value, Value]) -> bool:
        """Write a contraction in place of a node, if it is one."""
        if node.op == "sum" and any(self._sees_windows(value) for value in factors):
            return self._contract(node.outputs[0], factors, reduced_axes(node))
        if node.op == "overlap_add" and set(numbers(node, "stride")) == {1} and not is_tiling(node):
            return self._turn_round(node, factors)
        return False

    def _product(self, value: Value) -> tuple[Value, Value] | None:
        """Return the factors of a product that has the shape of a value."""
        node = self.made.get(value)
        if node is not None and node.op == "multiply":
            return node.inputs[0], node.inputs[1]
        if node is None or node.op != "reshape" or not is_view(node):
            return None
        factors = self._product(node.inputs[0])
        if factors is None:
            return None
        first, second = (
            self.view("reshape", factor, value.type.shape, {"shape": value.type.shape}) for factor in factors
        )
        return first, second

    def view(self, op: str, value: Value, shape: tuple[Dim, ...], attrs: Mapping[str, Attribute]) -> Value:
        """Append a view of a value, unless it is the value itself."""
        if op in ("reshape", "broadcast_to") and value.type.shape == shape:
            return value
        return self.write(op, (value,), attrs, value, Type(value.type.dtype, shape))

    def _sees_windows(self, value: Value) -> bool:
        node = self.made.get(value)
        while node is not None and is_view(node):
            if node.op == "windows":
                return True
            node = self.made.get(node.inputs[0])
        return False

    def _strides(self, value: Value) -> Access:
        source, index = resolve(self.made, value, full_index(value))
        return access(source, index, value.type.rank)

    def _is_generated(self, value: Value) -> bool:
        node = self.made.get(resolve(self.made, value, full_index(value))[0])
        return node is not None and node.op == "arange"

    def _contract(self, target: Value, factors: tuple[Value, Value], axes: tuple[int, ...]) -> bool:
        """Write the sum over axes of a product, if lanes can run along one axis."""
        shape = factors[0].type.shape
        if any(self._is_generated(value) for value in factors):
            return False  # what is computed from its index would be copied, in the order of the view
        first, second = (self._strides(value).strides for value in factors)
        lanes = [i for i, dim in enumerate(shape) if i not in axes and dim != 1 and first[i] == second[i] == ONE]
        if not lanes or not target.type.dtype.startswith("float"):
            return False
        rows = [i for i, dim in enumerate(shape) if i not in axes and i != lanes[-1] and dim != 1]
        if any(second[i] != ZERO for i in rows):
            factors = factors[::-1]
            if any(self._strides(factors[1]).strides[i] != ZERO for i in rows):
                return False
        kept = (*(i for i in range(len(shape)) if i not in axes and i != lanes[-1]), lanes[-1])
        made = Type(target.type.dtype, tuple(shape[i] for i in kept))
        result = self.write("contraction", factors, {"axis": axes, "kept": kept}, target, made)
        order = tuple(kept.index(i) for i in sorted(kept))
        self.append(Node("permute_dims", (result,), {"axes": order}, (target,)))
        return True

    def _turn_round(self, node: Node, factors: tuple[Value, Value]) -> bool:
        """Write windows that are added up as a sum over windows of what is padded."""
        axes, gaps, sizes = numbers(node, "axes"), numbers(node, "dilation"), window_sizes(node)
        rank = node.outputs[0].type.rank
        inside = tuple(range(rank, rank + len(axes)))
        for g, w in (factors, factors[::-1]):
            fixed, same = self._strides(g).strides, self._strides(w).strides
            if all(fixed[i] == ZERO for i in inside) and all(same[i] == ZERO for i in axes):
                break
        else:
            return False
        g = self._first(g, inside)
        around = tuple(gaps[axes.index(i)] * (sizes[axes.index(i)] - 1) if i in axes else 0 for i in range(rank))
        g = self.view("reshape", g, g.type.shape[:rank], {"shape": g.type.shape[:rank]})
        lengths = tuple(_more(dim, 2 * more) for dim, more in zip(g.type.shape, around, strict=True))
        g = self.view("pad", g, lengths, {"low": around, "high": around, "interior": (0,) * rank})
        shape = (*node.outputs[0].type.shape, *sizes)
        attrs = {"axes": axes, "size": sizes, "stride": (1,) * len(axes), "dilation": gaps}
        g = self.view("flip", self.view("windows", g, shape, attrs), shape, {"axes": inside})
        w = self.view("broadcast_to", self._first(w, axes), shape, {"shape": shape})
        return self._contract(node.outputs[0], (g, w), inside)

    def _first(self, value: Value, axes: tuple[int, ...]) -> Value:
        """Return the first element of a value along axes."""
        shape = value.type.shape
        stop = tuple(1 if i in axes else dim for i, dim in enumerate(shape))
        return self.view("slice", value, stop, {"start": (0,) * len(shape), "stop": stop, "step": (1,) * len(shape)})


def _more(dim: Dim, count: int) -> Dim:
    return dim if isinstance(dim, Batch) else dim + count
