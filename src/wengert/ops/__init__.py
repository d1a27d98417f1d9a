"""Operations in PyTorch's words: they check and promote arguments, then apply primitives."""
