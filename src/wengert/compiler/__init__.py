"""The compiler: lists of primitive applications, passes over them, and native code."""
