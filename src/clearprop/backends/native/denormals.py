"""Numbers below the smallest normal one: how a thread is told to take them for zero, as LLVM text.

Arithmetic with such numbers takes a hundred times as long. They come by themselves: the running mean of a gradient that
has become zero, as that of a dead unit's weights, falls by a tenth with every step and stays at four times the smallest
number there is, of which nine tenths are rounded up again.
"""

from __future__ import annotations

_FLUSH = {"x86": 0x8040, "arm": 1 << 24}
"""Of the control word: what is denormal counts as zero, as an operand and as a result."""

_X86 = """\
define internal i64 @mode() noinline nounwind {
  %place = alloca i32
  call void @llvm.x86.sse.stmxcsr(ptr %place)
  %word = load i32, ptr %place
  %wide = zext i32 %word to i64
  ret i64 %wide
}

define internal void @set_mode(i64 %word) noinline nounwind {
  %place = alloca i32
  %short = trunc i64 %word to i32
  store i32 %short, ptr %place
  call void @llvm.x86.sse.ldmxcsr(ptr %place)
  ret void
}

declare void @llvm.x86.sse.stmxcsr(ptr)
declare void @llvm.x86.sse.ldmxcsr(ptr)
"""

_ARM = """\
define internal i64 @mode() noinline nounwind {
  %word = call i64 @llvm.aarch64.get.fpcr()
  ret i64 %word
}

define internal void @set_mode(i64 %word) noinline nounwind {
  call void @llvm.aarch64.set.fpcr(i64 %word)
  ret void
}

declare i64 @llvm.aarch64.get.fpcr()
declare void @llvm.aarch64.set.fpcr(i64)
"""

_TEXTS = {"x86": _X86, "arm": _ARM}


def write_modes(family: str) -> str:
    """Return `i64 mode()`, the control word of the thread that calls it, and `void set_mode(i64)`."""
    return _TEXTS[family]


def write_flushing(name: str, inner: str, family: str) -> str:
    """Return `i64 name(ptr)`, which calls `inner` with denormal numbers taken for zero, and what `write_modes` does."""
    return f"""{write_modes(family)}
define i64 @{name}(ptr %argument) nounwind {{
  %before = call i64 @mode()
  %flushing = or i64 %before, {_FLUSH[family]}
  call void @set_mode(i64 %flushing)
  %outcome = call i64 @{inner}(ptr %argument)
  call void @set_mode(i64 %before)
  ret i64 %outcome
}}
"""
