"""Programs as machine code, through LLVM.

In the order of the data's way: `rewriting` has the program rewritten, by `depthwise`, `pooling` and `narrow` around
windows and by `repeating` around column sums; `preparation` makes it ready and `lowering` makes kernels of it
(`kernels` is what they are, `views` how an element of one array is an element of another, `placing` what is stored
inside of a larger one, `ties` what all loops round alike); `nests` (with `phases`, `loops` and `elements`),
`reductions`, `products`, `convolutions` and `moves` write each kind of kernel as LLVM text with the words of
`emitter`, `arithmetic`, `elementwise`, `functions` and `random_bits` (products in parts that `cuts` chooses, by the
micro-kernels of `tiles`, over factors that `packing` puts in order; convolutions as `contractions` cuts them);
`partition` cuts other work into parts; `calls` writes the function that calls them, `team` the threads that share
them, which `threads` starts; `inplace` says which results may replace inputs and `drive` writes the loop over steps
that `stepper` runs; `module` puts the text together; `jit` makes machine code of it, which `cache` keeps; `executable`
calls that; `forks` keeps locks whole in forked children. Only `jit` imports LLVM.
"""

from clearprop.backends.native.executable import NativeExecutable
from clearprop.backends.native.native import Native

__all__ = ["Native", "NativeExecutable"]
