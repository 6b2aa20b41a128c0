"""The most that the cores can compute: a loop of independent multiply-adds, measured."""

from __future__ import annotations

import ctypes
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from clearprop.backends.native.jit import compile_text
from clearprop.backends.native.native import Native
from clearprop.backends.native.targets import Target

_CHAINS = 12
"""Two units of four cycles each need eight operations in flight; twelve leave slack and fit sixteen registers."""
_ROUNDS = 500_000


def peak_text(target: Target) -> str:
    """Return LLVM text: `program(rounds, out)` runs twelve chains of x = x * 0.5 + 0.5 for so many rounds.

    Each chain ends in a place of its own in `out`, so that none of it is dead code. A CPU without fused multiply-adds
    multiplies, then adds.
    """
    lanes = target.lanes(4)
    vector, function = f"<{lanes} x float>", f"@llvm.fmuladd.v{lanes}f32"
    half = f"{vector} <{', '.join(['float 0.5'] * lanes)}>"
    lines = [
        f"declare {vector} {function}({vector}, {vector}, {vector})",
        "define void @program(i64 %rounds, ptr %out) nounwind {",
        "entry:",
        "  br label %loop",
        "loop:",
        "  %i = phi i64 [ 0, %entry ], [ %next, %loop ]",
        *(f"  %x{c} = phi {vector} [ zeroinitializer, %entry ], [ %y{c}, %loop ]" for c in range(_CHAINS)),
        *(f"  %y{c} = call {vector} {function}({vector} %x{c}, {half}, {half})" for c in range(_CHAINS)),
        "  %next = add i64 %i, 1",
        "  %more = icmp ult i64 %next, %rounds",
        "  br i1 %more, label %loop, label %done",
        "done:",
    ]
    for c in range(_CHAINS):
        lines.append(f"  %p{c} = getelementptr {vector}, ptr %out, i64 {c}")
        lines.append(f"  store {vector} %y{c}, ptr %p{c}, align 4")
    return "\n".join([*lines, "  ret void", "}", ""])


def measure_peak(threads: int = 1, repeats: int = 10, target: str = "") -> float:
    """Return GFLOP/s in float32 of so many threads at once, the best of some repeats; a multiply-add counts as two.

    Raises:
        SettingsError: this CPU cannot run the target.
    """
    chosen = Native(target).target
    code = compile_text(peak_text(chosen), chosen)
    function = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(code.address)
    lanes = _CHAINS * chosen.lanes(4)
    outs = [np.empty(lanes, np.float32) for _ in range(threads)]

    def run(out: np.ndarray[tuple[int], np.dtype[np.float32]]) -> None:
        function(_ROUNDS, out.ctypes.data)

    seconds = []
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(repeats + 1):  # the first one starts the threads
            start = time.perf_counter()
            list(pool.map(run, outs))
            seconds.append(time.perf_counter() - start)
    return 2e-9 * threads * lanes * _ROUNDS / min(seconds)
