"""What a call of a compiled function does: inputs, native code, what it leaves behind, and the
way back where a gradient comes from outside."""
