"""From LLVM IR to machine code in this process.

    compile_module(text) = parse, optimise, generate code        (or: read it from the disk cache)
                           link with symbols of this process

Text never holds an address: functions and objects of the process are declared `external` in it
and named when it is linked, so that the machine code can be kept on disk (`cache.py`).

`WENGERT_DUMP`, a list of the words `ir`, `optimised` and `assembly`, prints these to stderr.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
import platform
import sys
import threading
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

from . import cache

if TYPE_CHECKING:
    from llvmlite import ir

LEVEL = 2
"""How hard the compiler tries, from 0 to 3. Straight-line code of 10,000 operations takes about
0.1 s at 0, 0.3 s at 1, 0.45 s at 2; at 3 it can be seconds."""


class Library:
    """Machine code. It stays while this object does; so hold it as long as its addresses.

    Example:
        >>> import ctypes
        >>> text = "define i64 @twice(i64 %x) { %y = add i64 %x, %x ret i64 %y }"
        >>> library = compile_module(text)
        >>> ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(library.address("twice"))(21)
        42
    """

    def __init__(self, tracker: Any, names: tuple[str, ...]) -> None:
        self._tracker = tracker
        self._addresses = {name: int(tracker[name]) for name in names}

    def address(self, name: str) -> int:
        """Where a function or a global that the text defines lies."""
        return self._addresses[name]


def compile_module(text: str | ir.Module | Callable[[], str | ir.Module], *,
                   key: str | None = None, symbols: Mapping[str, int] | None = None,
                   level: int = LEVEL) -> Library:
    """Machine code for LLVM IR, from the disk cache where it is there.

    Args:
        text: the module, or with a `key` also a function that gives it when it is needed.
        key: stands for the text in the cache: must differ whenever the text does. By default it
            is the text itself.
        symbols: addresses of what the text declares but does not define. Names that the C library
            exports need not be given.
        level: how hard to optimise, from 0 to 3.

    Returns:
        The library. The same text with the same symbols gives the same one while it lives.

    Raises:
        ImportError: if llvmlite is missing.
        RuntimeError: if the text is not LLVM IR, or needs a symbol that nothing defines.
    """
    require()
    if key is None:
        text = _text(text)
        key = str(text)
    digest = hashlib.sha256("\0".join([key, str(level), _identity()]).encode()).hexdigest()
    given = dict(symbols or {})
    known = digest, tuple(sorted(given.items()))
    library = _libraries.get(known)
    if library is None:
        library = _libraries[known] = _link(_object(text, digest, level), given)
    return library


def require() -> Any:
    """The module `llvmlite.binding`, ready to compile for this machine.

    Raises:
        ImportError: if llvmlite is missing.
    """
    try:
        from llvmlite import binding
    except ImportError:
        raise ImportError("wengert.compile needs llvmlite: pip install llvmlite") from None
    return _initialized(binding)


def vector_bits() -> int:
    """The width of the machine's vector registers: 512, 256 or 128."""
    features = _features()
    if all(features.get(name) for name in ("avx512f", "avx512bw", "avx512dq", "avx512vl")):
        return 512
    return 256 if features.get("avx2") else 128


_libraries: weakref.WeakValueDictionary[Any, Library] = weakref.WeakValueDictionary()
_numbers = itertools.count()
_lock = threading.RLock()
"""Held by who is in LLVM: its objects are for one thread at a time, and a fork in the middle
would leave the child a compiler that is half way through."""
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_lock.acquire, after_in_parent=_lock.release,
                        after_in_child=_lock.release)
Code = tuple[tuple[str, ...], bytes]
"""The names that an object file defines, and the object file."""


def _text(text: str | ir.Module | Callable[[], str | ir.Module]) -> str:
    return str(text() if callable(text) else text)


# --- the machine ------------------------------------------------------------------------------


@functools.cache
def _initialized(binding: Any) -> Any:
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.initialize_native_asmparser()
    return binding


_VECTOR = ("avx", "bmi", "f16c", "fma", "gfni", "sse", "vaes", "vpclmulqdq")
_LINUX_NAMES = {"sse3": "pni", "bmi": "bmi1"}


@functools.cache
def _features() -> dict[str, bool]:
    """What the processor can do, in LLVM's names: never more than the system lets us use."""
    found = dict(require().get_host_cpu_features())
    return _allowed(found, _linux_flags())


def _allowed(found: Mapping[str, bool], listed: Collection[str]) -> dict[str, bool]:
    """The features found, without the vector instructions that Linux doesn't list.

    LLVM asks the processor, and whether the system saves the wide registers. What Linux was told
    to leave alone, or a virtual machine traps, only Linux knows.
    """
    plain = {flag.replace("_", "") for flag in listed}
    features = {
        name: on and not (listed and name.startswith(_VECTOR)
                          and _LINUX_NAMES.get(name, name).replace(".", "") not in plain)
        for name, on in found.items()}
    if features.get("avx512f"):
        features["prefer-256-bit"] = False  # the tuning of some processors; we want all 512
    return features


def _linux_flags() -> frozenset[str]:
    """What Linux says an x86 processor can do; empty elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as lines:
            for line in lines:
                if line.startswith("flags"):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()


def _feature_text() -> str:
    """The features as LLVM reads them: from left to right, with what each implies. A processor's
    name implies features too, so that those that are missing have the last word."""
    features = _features()
    return ",".join(("+" if features[name] else "-") + name
                    for name in sorted(features, key=lambda name: (not features[name], name)))


@functools.cache
def _machine(level: int) -> Any:
    """The target machine: this one."""
    llvm = require()
    return llvm.Target.from_default_triple().create_target_machine(
        cpu=llvm.get_host_cpu_name() if _features() else "", features=_feature_text(), opt=level,
        reloc="pic", codemodel="default", jit=True)


@functools.cache
def _identity() -> str:
    """What machine code depends on besides its text."""
    import llvmlite

    from ... import __version__

    llvm = require()
    return "\0".join([__version__, llvmlite.__version__, str(llvm.llvm_version_info),
                      llvm.get_default_triple(), llvm.get_host_cpu_name(), _feature_text()])


# --- compiling --------------------------------------------------------------------------------


def _object(text: Any, digest: str, level: int) -> Code:
    """The object code of a text, from the cache or newly made."""
    found = None if _dumps() else cache.read(digest)
    if found is not None:
        names, _, code = found.partition(b"\n")
        return tuple(names.decode().split()), code
    names_and_code = _generate(_text(text), level)
    cache.write(digest, b"\n".join([" ".join(names_and_code[0]).encode(), names_and_code[1]]))
    return names_and_code


def _generate(text: str, level: int) -> Code:
    llvm = require()
    _dump("ir", lambda: text)
    with _lock:
        machine = _machine(level)
        module = llvm.parse_assembly(text, llvm.create_context())
        module.verify()
        _optimise(module, machine, level)
        _dump("optimised", lambda: str(module))
        _dump("assembly", lambda: machine.emit_assembly(module))
        return _exported(module), machine.emit_object(module)


def _optimise(module: Any, machine: Any, level: int) -> None:
    """A few passes. Loops come vectorised and unrolled from our own code generator, and what is
    the same in all turns stands before them; the standard passes find little more, in several
    times the time. (LLVM's new GVN is none of them: builds with assertions end the process in it,
    in functions of many loops.) At level 3 they are all run, with the search for vectors in
    straight-line code, which takes a millisecond an operation."""
    if level == 0:
        return
    llvm = require()
    options = llvm.create_pipeline_tuning_options(level)
    options.loop_vectorization = options.loop_interleaving = options.loop_unrolling = False
    options.slp_vectorization = level > 2
    builder = llvm.create_pass_builder(machine, options)
    if level > 2:
        builder.getModulePassManager().run(module, builder)
        return
    _inline(module)
    passes = llvm.create_new_module_pass_manager()
    passes.add_sroa_pass()
    passes.add_always_inliner_pass()
    passes.add_global_dead_code_eliminate_pass()
    passes.add_sroa_pass()
    passes.add_instruction_combine_pass()
    passes.add_simplify_cfg_pass()
    passes.add_dead_store_elimination_pass()
    passes.add_dead_code_elimination_pass()
    passes.run(module, builder)


_SHORT = 200


def _inline(module: Any) -> None:
    """Has short functions be put where they are called, but for those that ask to be left."""
    for function in module.functions:
        if function.linkage.name == "internal" and not function.is_declaration and (
                b"noinline" not in b" ".join(function.attributes)
                and _length(function) <= _SHORT):
            function.add_function_attribute("alwaysinline")


def _length(function: Any) -> int:
    return sum(sum(1 for _ in block.instructions) for block in function.blocks)


def _exported(module: Any) -> tuple[str, ...]:
    defined = [*module.functions, *module.global_variables]
    return tuple(value.name for value in defined
                 if not value.is_declaration and value.linkage.name == "external")


def _dumps() -> list[str]:
    return os.environ.get("WENGERT_DUMP", "").replace(",", " ").split()


def _dump(what: str, text: Callable[[], str]) -> None:
    if what in _dumps():
        print(f"; --- {what}\n{text()}", file=sys.stderr)


# --- linking ----------------------------------------------------------------------------------


@functools.cache
def _linker() -> Any:
    """The one linker of this process. JITLink puts a module's code and data next to each other;
    on Windows it is not ready."""
    return require().create_lljit_compiler(use_jit_link=platform.system() != "Windows")


def _link(code: Code, symbols: Mapping[str, int]) -> Library:
    names, image = code
    builder = require().JITLibraryBuilder().add_object_img(image).add_current_process()
    for name, address in symbols.items():
        builder.import_symbol(name, address)
    for name in names:
        builder.export_symbol(name)
    with _lock:
        return Library(builder.link(_linker(), f"wengert{next(_numbers)}"), names)
