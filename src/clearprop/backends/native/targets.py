"""Targets: how wide a vector is and how many registers there are, by the features of a CPU."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from clearprop.errors import BackendError, SettingsError


@dataclass(frozen=True)
class Target:
    """What emission needs to know of a CPU.

    Attributes:
        name: avx512, avx2, neon or baseline.
        vector_bytes: the size of a vector register.
        tile_rows: the rows of a register tile of a product that is one, two ... vectors wide.
        registers: how many vector registers there are.
        masks: whether loads and stores of a part of a vector are instructions (else the tail is scalar).
        family: of CPUs: "x86" or "arm".
        features: the LLVM features to switch on or off, beyond those of the host; None leaves the host's as they are.
    """

    name: str
    vector_bytes: int
    tile_rows: tuple[int, ...]
    registers: int
    masks: bool
    family: str = "x86"
    features: str | None = None

    def lanes(self, item_bytes: int) -> int:
        """How many items a vector register holds."""
        return self.vector_bytes // item_bytes


_X86, _ARM = ("x86_64", "amd64"), ("aarch64", "arm64")
_X86_PLAIN = "+sse2,-sse3,-ssse3,-sse4.1,-sse4.2,-avx,-avx2,-fma,-avx512f"
_X86_AVX2 = "+avx,+avx2,+fma,-avx512f,-avx512vl,-avx512bw,-avx512dq,-avx512cd"

TARGETS: dict[str, Target] = {
    "avx512": Target("avx512", 64, (8, 8, 8, 6), 32, True),
    "avx2": Target("avx2", 32, (8, 6, 4), 16, True, features=_X86_AVX2),
    "neon": Target("neon", 16, (8, 8, 8), 32, False, "arm"),
    "baseline": Target("baseline", 16, (8, 6, 4), 16, False, features=_X86_PLAIN),
}
"""Every target by name; NEON code needs a CPU that has it, the others run on any x86-64 with at least as much."""


def choose(features: Mapping[str, bool], machine: str, wanted: str = "") -> Target:
    """Return the widest target that the CPU's features allow, or the one that is wanted.

    Raises:
        SettingsError: there is no target of that name, or this CPU cannot run it.
        BackendError: there is no target for this kind of CPU.
    """
    if machine not in (*_X86, *_ARM):
        raise BackendError(f"the native backend has no code for the CPU {machine}, only for {', '.join(_X86 + _ARM)}")
    runs = ["neon"] if machine in _ARM else ["baseline"]
    if features.get("avx2") and features.get("fma"):
        runs.insert(0, "avx2")
    if features.get("avx512f") and features.get("avx512vl") and features.get("avx512bw") and features.get("avx512dq"):
        runs.insert(0, "avx512")
    if wanted and wanted not in runs:
        raise SettingsError(f"the vector target {wanted!r} cannot run on this CPU; choose one of {', '.join(runs)}")
    return TARGETS[wanted or runs[0]]
