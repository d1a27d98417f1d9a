"""Linear algebra in PyTorch's words: what `wengert.linalg` holds, and the older words."""
