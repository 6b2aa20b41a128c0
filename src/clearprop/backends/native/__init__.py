"""Programs as machine code, through LLVM.

In the order of the data's way: `lowering` makes kernels of a program (`kernels` is what they are, `views` how
an element of one array is an element of another); `nests`, `reductions`, `products` and `moves` write each kind of
kernel as LLVM text with the words of `emitter`, `arithmetic`, `elementwise`, `functions` and `random_bits`;
`partition` cuts the work into parts; `calls` writes the function that calls them, `team` the threads that share them,
which `threads` starts; `module` puts the text together; `jit` makes machine code of it; `executable` calls that. Only
`jit` imports LLVM.
"""

from clearprop.backends.native.executable import NativeExecutable
from clearprop.backends.native.native import Native

__all__ = ["Native", "NativeExecutable"]
