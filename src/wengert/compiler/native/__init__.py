"""Native code: LLVM IR emitted from plans, compiled, linked, cached and called."""
