"""The native engine: machine code from LLVM IR, its cache, its threads, and how it is called."""

import ctypes
import gc
import itertools
import os
import signal
import stat
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("llvmlite")
from llvmlite import ir

from wengert.compiler.native import blas, cache, engine, entry, pool

TWICE = "define i64 @twice(i64 %x) { %y = add i64 %x, %x ret i64 %y }"
I64 = ctypes.c_int64
posix = pytest.mark.skipif(os.name != "posix", reason="POSIX's permissions and processes")


def call(library, name, *arguments, result=I64):
    kinds = [ctypes.c_double if isinstance(a, float) else I64 for a in arguments]
    return ctypes.CFUNCTYPE(result, *kinds)(library.address(name))(*arguments)


COUNTER = itertools.count()


def unique(text):
    """A text that this process has not compiled before."""
    return f"{text}\n; {os.getpid()} {next(COUNTER)}"


def run(source, **environment):
    """Runs a Python program to its end; its output."""
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(source)], text=True, timeout=60,
                          capture_output=True, env={**os.environ, **environment}, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache of this test's own."""
    place = tmp_path / "cache"
    monkeypatch.setenv("WENGERT_CACHE_DIR", str(place))
    monkeypatch.delenv("WENGERT_CACHE_SIZE", raising=False)
    return place


@pytest.fixture
def generated(monkeypatch):
    """The texts that machine code was generated from, rather than found."""
    texts, generate = [], engine._generate
    monkeypatch.setattr(engine, "_generate",
                        lambda text, level: texts.append(text) or generate(text, level))
    return texts


# --- compiling --------------------------------------------------------------------------------


@pytest.mark.parametrize("level", range(4))
def test_compiles(level):
    assert call(engine.compile_module(TWICE, level=level), "twice", 21) == 42


def test_compiles_modules_of_llvmlite():
    module = ir.Module()
    function = ir.Function(module, ir.FunctionType(ir.IntType(64), [ir.IntType(64)]), "next")
    builder = ir.IRBuilder(function.append_basic_block())
    builder.ret(builder.add(function.args[0], ir.IntType(64)(1)))
    assert call(engine.compile_module(module), "next", 41) == 42


def test_symbols_are_linked_and_not_cached(folder, generated):
    """The same object code serves two addresses."""
    text = unique("declare double @given(double)\ndefine double @f(double %x) {\n"
                  "%y = call double @given(double %x)\nret double %y }")
    kind = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)
    for add in (1.0, 2.0):
        given = kind(lambda x, add=add: x + add)
        address = ctypes.cast(given, ctypes.c_void_p).value
        library = engine.compile_module(text, symbols={"given": address})
        assert call(library, "f", 40.0, result=ctypes.c_double) == 40 + add
    assert len(generated) == 1


def test_what_the_c_library_exports_is_found():
    text = ("declare ptr @memset(ptr, i32, i64)\n@memory = global [8 x i8] zeroinitializer\n"
            "define i64 @f() {\n call ptr @memset(ptr @memory, i32 1, i64 8)\n"
            " %x = load i64, ptr @memory\n ret i64 %x }")
    library = engine.compile_module(text)
    assert call(library, "f") == 0x0101010101010101
    assert I64.from_address(library.address("memory")).value == 0x0101010101010101


def test_equal_texts_share_code_while_it_lives():
    text = unique(TWICE)
    library = engine.compile_module(text)
    assert engine.compile_module(text) is library
    assert engine.compile_module(text, level=1) is not library
    gone = weakref.ref(library)
    del library
    gc.collect()
    assert gone() is None


def test_wrong_text_and_missing_symbols(capfd):
    """What is missing is named on stderr, by LLVM."""
    with pytest.raises(RuntimeError, match="expected"):
        engine.compile_module("define nonsense")
    with pytest.raises(RuntimeError, match="materialize"):
        engine.compile_module("declare void @nowhere_to_be_found()\ndefine void @f() {\n"
                              "call void @nowhere_to_be_found()\nret void }")
    assert "nowhere_to_be_found" in capfd.readouterr().err


def test_key_stands_for_the_text(folder, generated):
    made = []

    def text():
        made.append(1)
        return TWICE

    key = unique("key")
    for _ in range(2):
        library = engine.compile_module(text, key=key)
        assert call(library, "twice", 4) == 8
        del library
    assert len(made) == len(generated) == 1


def test_compile_time_is_linear():
    """Ten times the operations, at most 25 times the time (a quadratic step would make it 100)."""
    def seconds(count):
        lines = "\n".join(f"%v{i + 1} = {'fmul' if i % 3 else 'fadd'} double %v{i}, "
                          f"%v{max(i - 7, 0)}" for i in range(count))
        text = unique(f"define double @f(double %v0) {{\n{lines}\nret double %v{count} }}")
        before = time.perf_counter()
        engine._generate(text, engine.LEVEL)
        return time.perf_counter() - before

    assert min(seconds(5000) for _ in range(2)) < 25 * min(seconds(500) for _ in range(2))


def test_dumps(capfd, monkeypatch):
    monkeypatch.setenv("WENGERT_DUMP", "ir,optimised,assembly")
    text = unique(TWICE)
    engine.compile_module(text)
    shown = capfd.readouterr().err
    assert text in shown and "; --- optimised" in shown and "@twice" in shown
    assert ".text" in shown.partition("; --- assembly")[2]


def test_features_are_never_more_than_the_system_lists():
    found = {"avx512f": True, "avx512vnni": True, "avx512vl": True, "sse4.1": True, "sse3": True,
             "cx16": True, "avx2": False}
    allowed = engine._allowed(found, {"avx512f", "avx512_vnni", "sse4_1", "pni", "avx2"})
    assert {name for name, on in allowed.items() if on} == {
        "avx512f", "avx512vnni", "sse4.1", "sse3", "cx16"}
    assert allowed["prefer-256-bit"] is False
    assert engine._allowed(found, ()) == {**found, "prefer-256-bit": False}
    assert engine.vector_bits() in {128, 256, 512}


def test_without_llvmlite():
    assert "pip install llvmlite" in run("""
        import sys
        sys.modules["llvmlite"] = None
        import wengert
        from wengert.compiler.native import engine
        assert (wengert.tensor(1.0) + 1).item() == 2
        try:
            engine.compile_module("")
        except ImportError as error:
            print(error)
        """)


# --- the cache --------------------------------------------------------------------------------


def entries(folder):
    return sorted(folder.glob("*" + cache.SUFFIX))


def test_cache_keeps_and_finds(folder, generated):
    text = unique(TWICE)
    for _ in range(2):
        library = engine.compile_module(text)
        assert call(library, "twice", 3) == 6
        del library
    assert len(generated) == len(entries(folder)) == 1


def test_a_second_process_starts_warm(folder):
    source = """
        import ctypes
        from wengert.compiler.native import engine
        generate, made = engine._generate, []
        engine._generate = lambda *given: made.append(1) or generate(*given)
        library = engine.compile_module("define i64 @f() { ret i64 42 }")
        print(len(made), ctypes.CFUNCTYPE(ctypes.c_int64)(library.address("f"))())
        """
    assert run(source) == "1 42\n"
    assert run(source) == "0 42\n"


@pytest.mark.parametrize("damage", [
    lambda data: b"", lambda data: data[:-1], lambda data: data[:20], lambda data: data + b"x",
    lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:], lambda data: b"\0" * len(data)])
def test_damaged_entries_are_ignored_and_rewritten(folder, generated, damage):
    text = unique(TWICE)
    engine.compile_module(text)
    (path,) = entries(folder)
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert call(engine.compile_module(text), "twice", 5) == 10
    assert path.read_bytes() == whole
    assert len(generated) == 2


def test_an_entry_under_another_name_is_ignored(folder):
    cache.write("a", b"contents")
    (path,) = entries(folder)
    path.rename(folder / ("b" + cache.SUFFIX))
    assert cache.read("a") is None and cache.read("b") is None


@posix
def test_entries_are_private(folder):
    cache.write("a", b"contents")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()] == [0o600]


@posix
def test_a_directory_that_others_can_write_to_is_refused(folder, monkeypatch):
    cache.write("a", b"contents")
    folder.chmod(0o770)
    assert cache.read("a") is None
    cache.write("b", b"contents")
    assert len(entries(folder)) == 1
    folder.chmod(0o700)
    assert cache.read("a") == b"contents"
    monkeypatch.setattr(os, "getuid", lambda: folder.stat().st_uid + 1)
    assert cache.read("a") is None


def test_no_directory_no_cache_no_error(folder, tmp_path, monkeypatch):
    for place in ("", str(tmp_path / "file" / "below"), "/proc/wengert"):
        (tmp_path / "file").write_text("in the way")
        monkeypatch.setenv("WENGERT_CACHE_DIR", place)
        cache.write("a", b"contents")
        assert cache.read("a") is None
        assert call(engine.compile_module(unique(TWICE)), "twice", 2) == 4
    assert not folder.exists()


def test_a_full_or_readonly_disk_is_no_error(folder, monkeypatch):
    cache.write("a", b"contents")

    def full(*given):
        raise OSError(28, "No space left on device")

    for name in ("replace", "fdopen", "utime"):
        with monkeypatch.context() as patch:
            patch.setattr(cache.os, name, full)
            cache.write("b", b"contents")
            assert cache.read("a") == b"contents"
    assert [path.name for path in entries(folder)] in (["a.o"], ["a.o", "b.o"])
    assert len(list(folder.iterdir())) == len(entries(folder))  # nothing half-written stays


def test_what_was_used_longest_ago_goes_first(folder, monkeypatch):
    monkeypatch.setenv("WENGERT_CACHE_SIZE", "10K")
    for i, name in enumerate("abcd"):
        cache.write(name, bytes(2048))
        os.utime(folder / (name + cache.SUFFIX), (i, i))
    assert cache.read("a")  # used again, and thus the latest
    cache.write("e", bytes(2048))
    assert [path.stem for path in entries(folder)] == ["a", "d", "e"]


@pytest.mark.parametrize(("text", "size"), [
    ("100", 100), ("2K", 2048), ("1.5m", 3 << 19), ("1G", 1 << 30), ("0", 0),
    ("much", 512 << 20), ("inf", 512 << 20), ("", 512 << 20)])
def test_limit(monkeypatch, text, size):
    monkeypatch.setenv("WENGERT_CACHE_SIZE", text)
    assert cache.limit() == size


def test_the_usual_place(monkeypatch, tmp_path):
    monkeypatch.delenv("WENGERT_CACHE_DIR", raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.directory() == tmp_path / "wengert"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert cache.directory() == Path("/home/someone/.cache/wengert")


def test_many_processes_at_once(folder):
    """All write and read the same few entries, under a bound that evicts them all the time."""
    source = """
        import os
        from wengert.compiler.native import cache
        for i in range(150):
            name = "abcdefgh"[(i * 7 + os.getpid()) % 8]
            contents = name.encode() * 5000
            found = cache.read(name)
            assert found is None or found == contents
            if i % 2:
                cache.write(name, contents)
        """
    environment = {**os.environ, "WENGERT_CACHE_SIZE": "20K"}
    processes = [subprocess.Popen([sys.executable, "-c", textwrap.dedent(source)],
                                  env=environment) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert sum(path.stat().st_size for path in folder.iterdir()) <= 20 << 10


# --- the pool ---------------------------------------------------------------------------------

COUNTING = """
declare void @wengert_parallel(ptr, ptr, i64)

; counts[piece] += pieces, after as many turns of a loop as spin says
define internal void @task(i64 %piece, i64 %pieces, ptr %counts) nounwind {
entry:
  %spin = load i64, ptr %counts
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  call void asm sideeffect "", ""()
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %spin
  br i1 %more, label %loop, label %count
count:
  %at = add i64 %piece, 1
  %place = getelementptr i64, ptr %counts, i64 %at
  %old = load i64, ptr %place
  %new = add i64 %old, %pieces
  store i64 %new, ptr %place
  ret void
}

; runs pieces in the pool, each of which asks the pool for the same again
define internal void @outer(i64 %piece, i64 %pieces, ptr %counts) nounwind {
  %offset = mul i64 %piece, 64
  %mine = getelementptr i64, ptr %counts, i64 %offset
  call void @wengert_parallel(ptr @task, ptr %mine, i64 %pieces)
  ret void
}

define void @nested(ptr %counts, i64 %pieces) nounwind {
  call void @wengert_parallel(ptr @outer, ptr %counts, i64 %pieces)
  ret void
}

define void @repeat(ptr %counts, i64 %pieces, i64 %times) nounwind {
entry:
  br label %loop
loop:
  %i = phi i64 [0, %entry], [%next, %loop]
  call void @wengert_parallel(ptr @task, ptr %counts, i64 %pieces)
  %next = add i64 %i, 1
  %more = icmp ult i64 %next, %times
  br i1 %more, label %loop, label %leave
leave:
  ret void
}
"""


@pytest.fixture(scope="module")
def counting():
    return engine.compile_module(COUNTING, symbols=pool.symbols())


def repeat(library, pieces, times, spin=0):
    """How often each piece was counted."""
    counts = np.zeros(pieces + 2, np.int64)
    counts[0] = spin
    call(library, "repeat", counts.ctypes.data, pieces, times, result=None)
    assert counts[-1] == 0
    return counts[1:-1]


@pytest.mark.parametrize("pieces", [1, 2, 3, 8, 300, 65535, 65536, 70000])
def test_every_piece_is_done_once(counting, pieces):
    times = 3 if pieces > 300 else 100
    assert (repeat(counting, pieces, times) == pieces * times).all()


def test_no_pieces(counting):
    counts = np.zeros(4, np.int64)
    for pieces in (0, -1):
        call(counting, "repeat", counts.ctypes.data, pieces, 2, result=None)
    assert not counts.any()


@pytest.mark.parametrize("spin", [0, 1000, 200_000])
def test_threads_awake_and_asleep(counting, spin):
    """With pieces shorter and longer than threads watch before they sleep."""
    for _ in range(5):
        time.sleep(0.002)
        assert (repeat(counting, 3, 20, spin) == 60).all()


def test_several_threads_at_once(counting):
    found = [None] * 4

    def work(i):
        found[i] = [repeat(counting, 3, 200, spin=10 * i) for _ in range(10)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert np.array_equal(found, np.full((4, 10, 3), 600))


def test_a_task_may_ask_the_pool(counting):
    counts = np.zeros((4, 64), np.int64)
    for _ in range(100):
        call(counting, "nested", counts.ctypes.data, 4, result=None)
    assert (counts[:, 1:5] == 400).all() and not counts[:, 5:].any()


PROGRAM = f"""
import ctypes, os, sys, threading, time
import numpy as np
from wengert.compiler.native import engine, pool

library = engine.compile_module({COUNTING!r}, symbols=pool.symbols())
repeat = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)(
    library.address("repeat"))

def work(times=500, spin=0):
    counts = np.zeros(4, np.int64)
    counts[0] = spin
    repeat(counts.ctypes.data, 3, times)
    return counts[1:].tolist() == [3 * times] * 3

def threads():
    return len(os.listdir("/proc/self/task"))
"""
linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts threads in /proc")


@linux
def test_threads_start_on_first_use_and_leave_signals_alone():
    assert run(PROGRAM + """
import signal
before = threads()
work()
masks = [line for task in os.listdir("/proc/self/task") if int(task) != os.getpid()
         for line in open(f"/proc/self/task/{task}/status") if line.startswith("SigBlk")]
usr1 = 1 << (signal.SIGUSR1 - 1)
print(threads() - before, sum(bool(int(mask.split()[1], 16) & usr1) for mask in masks) >= 2,
      signal.pthread_sigmask(signal.SIG_BLOCK, []))
""") == "2 True set()\n"


@linux
def test_the_child_of_a_fork_has_threads_of_its_own():
    """Forked while another thread is at work in the pool."""
    assert run(PROGRAM + """
before = threads()
stop = []
busy = threading.Thread(target=lambda: [work(5000, 100) for _ in iter(lambda: bool(stop), True)])
busy.start()
for _ in range(10):
    time.sleep(0.002)
    child = os.fork()
    if child == 0:
        alone = threads()
        right = work() and work()
        os._exit(0 if right and alone == 1 and threads() == 3 else 1)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end=" ")
stop.append(1)
busy.join()
print(work())
""") == "0 " * 10 + "True\n"


@pytest.mark.parametrize("ending", [
    "", "sys.exit()", "threading.Thread(target=work).start()",
    "threading.Thread(target=lambda: [work() for _ in range(10**6)], daemon=True).start()\n"
    "time.sleep(0.01)",
    "import atexit\natexit.register(work)"])
def test_exit_does_not_hang(ending):
    assert run(PROGRAM + f"print(work(), flush=True)\n{ending}") == "True\n"


@linux
def test_waiting_threads_take_no_time():
    """Whoever waits goes to sleep, callers and threads alike."""
    assert float(run(PROGRAM + """
work()
time.sleep(0.05)
before = time.process_time()
time.sleep(0.3)
print(time.process_time() - before)
""")) < 0.1


@pytest.mark.parametrize(("value", "count"), [("3", 3), ("1", 1)])
def test_number_of_threads_from_the_environment(value, count):
    source = "import wengert\nprint(wengert.get_num_threads())"
    assert run(source, WENGERT_NUM_THREADS=value) == f"{count}\n"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no affinity")
def test_number_of_threads_from_the_affinity():
    source = """
        import os
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        import warnings
        with warnings.catch_warnings(record=True) as seen:
            warnings.simplefilter("always")
            import wengert
        print(wengert.get_num_threads(), len(seen))
        """
    assert run(source, WENGERT_NUM_THREADS="") == "1 0\n"
    assert run(source, WENGERT_NUM_THREADS="all") == "1 1\n"


# --- BLAS -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "dtype"), [("sgemm", np.float32), ("dgemm", np.float64)])
def test_gemm(name, dtype):
    """Column by column: c = 2 a b + 3 c."""
    rng = np.random.default_rng(0)
    a, b, c = (np.asfortranarray(rng.standard_normal(shape), dtype)
               for shape in ((3, 4), (4, 5), (3, 5)))
    expected = 2 * (a @ b) + 3 * c
    scalar = ctypes.c_float if dtype is np.float32 else ctypes.c_double
    m, k, n = map(ctypes.c_int, (3, 4, 5))
    plain, two, three = ctypes.c_char(b"N"), scalar(2), scalar(3)
    gemm = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 13)(blas.symbols()[name])
    gemm(*map(ctypes.addressof, (plain, plain, m, n, k, two)), a.ctypes.data,
         ctypes.addressof(m), b.ctypes.data, ctypes.addressof(k), ctypes.addressof(three),
         c.ctypes.data, ctypes.addressof(m))
    np.testing.assert_allclose(c, expected, rtol=1e-5)


@pytest.mark.parametrize("order", ["before", "after"])
def test_scipy_is_as_it_was(order):
    """Whether the user imports scipy.linalg before or after us, it is whole."""
    lines = ["import scipy.linalg, scipy.linalg.cython_blas",
             "from wengert.compiler.native import blas; blas.symbols()"]
    program = "\n".join(lines if order == "before" else lines[::-1])
    assert run(program + "\nfrom scipy.linalg import cython_blas"
               "\nprint(scipy.linalg.cython_blas is cython_blas is blas._module(),"
               "scipy.linalg.cho_factor([[4.0]])[0])") == "True [[2.]]\n"


def test_blas_threads_can_be_set():
    """In a process of its own: the number is the whole process's."""
    assert run("""
        import ctypes
        from wengert.compiler.native import blas
        done = blas.set_threads(1)
        library = ctypes.CDLL(blas._module().__file__)
        get = getattr(library, "scipy_openblas_get_num_threads", lambda: 1)
        print(get() if done else 1)
        """) == "1\n"


# --- built-in functions -----------------------------------------------------------------------


def summing(shape, dtype, kind, writeable=False):
    """A built-in function: out[0] = a[0] + b[0], if all arguments fit; else which doesn't."""
    module = ir.Module()
    made = entry.Entry(module, "summing", 3)
    for i in range(3):
        fits = made.fits(i, np.dtype(dtype), shape, writeable=writeable and i == 2)
        made.refuse(made.builder.not_(fits), 10 + i)
    a, b, out = (made.data(i) for i in range(3))
    with made.without_interpreter_lock():
        left, right = made.builder.load(a, typ=kind), made.builder.load(b, typ=kind)
        made.builder.store(made.builder.fadd(left, right), out)
    made.leave(0)
    library = engine.compile_module(module, symbols=entry.symbols())
    return entry.builtin(library.address("summing"), "summing", library)


def test_builtin_reads_and_writes_arrays():
    function = summing((2, None), "f", ir.FloatType(), writeable=True)
    a, b, out = np.full((2, 3), 1.5, "f"), np.full((2, 1), 2.0, "f"), np.zeros((2, 3), "f")
    assert function(a, b, out) == 0
    assert out.ravel().tolist() == [3.5, 0, 0, 0, 0, 0]
    assert function.__name__ == "summing" and callable(function)


def test_builtin_refuses_what_does_not_fit():
    function = summing((2, None), "f", ir.FloatType(), writeable=True)
    good = np.zeros((2, 2), "f")
    readonly = np.zeros((2, 2), "f")
    readonly.flags.writeable = False
    crooked = np.frombuffer(bytes(17), "f", 4, offset=1).reshape(2, 2)

    class Subclass(np.ndarray):
        pass

    wrong = [None, 3, [1.0], np.zeros((2, 2)), np.zeros((2, 2), ">f4"), np.zeros((3, 2), "f"),
             np.zeros(2, "f"), np.zeros((2, 2, 1), "f"), np.zeros((2, 4), "f")[:, ::2],
             crooked, good.view(Subclass), np.float32(1)]
    assert function(good, good, good) == 0
    for value in wrong:
        assert function(value, good, good) == 10
        assert function(good, value, good) == 11
        assert function(good, good, value) == 12
    assert function(readonly, readonly, good) == 0
    assert function(good, good, readonly) == 12
    assert function(good) == function() == function(*[good] * 4) == entry.WRONG_ARGUMENTS
    with pytest.raises(TypeError):
        function(good, good, out=good)


@pytest.mark.parametrize("kind", list("?bhilBHILefdFD"))
def test_every_dtype_is_known(kind):
    module = ir.Module()
    made = entry.Entry(module, "entry", 1)
    made.refuse(made.fits(0, np.dtype(kind), ()), 1)
    made.leave(2)
    library = engine.compile_module(module, symbols=entry.symbols())
    function = entry.builtin(library.address("entry"), "entry", library)
    assert function(np.zeros((), kind)) == 1
    assert function(np.zeros((), "d" if kind == "f" else "f")) == 2


def test_builtin_keeps_its_code():
    """And lets it go."""
    function = summing((1,), "d", ir.DoubleType())
    gc.collect()
    array = np.ones(1)
    assert function(array, array, array) == 0 and array[0] == 2
    library = engine.compile_module(unique(TWICE))
    gone = weakref.ref(library)
    kept = entry.builtin(library.address("twice"), "twice", library)
    del library
    gc.collect()
    assert gone() is not None
    del kept
    gc.collect()
    assert gone() is None


def test_calls_leak_nothing():
    function = summing((1,), "d", ir.DoubleType())
    array, large = np.ones(1), 10 ** 6
    before = sys.getrefcount(array), sys.getrefcount(function)
    for _ in range(large // 100):
        function(array, array, array)
        function(array, None, array)
    assert (sys.getrefcount(array), sys.getrefcount(function)) == before


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timers")
def test_other_threads_run_python_meanwhile(counting):
    """While native code works without the interpreter's lock."""
    module = ir.Module()
    pointer, word = ir.PointerType(), ir.IntType(64)
    kernel = ir.Function(module, ir.FunctionType(ir.VoidType(), [pointer, word, word]), "repeat")
    made = entry.Entry(module, "entry", 1)
    with made.without_interpreter_lock():
        made.builder.call(kernel, [made.data(0), word(1), word(1)])
    made.leave(5)
    library = engine.compile_module(
        module, symbols={**entry.symbols(), "repeat": counting.address("repeat")})
    function = entry.builtin(library.address("entry"), "entry", library)
    counts = np.array([300_000_000, 0], np.int64)
    thread = threading.Thread(target=function, args=(counts,))
    thread.start()
    turns = 0
    while thread.is_alive():
        turns += 1
        time.sleep(0.001)
    assert counts[1] == 1 and turns > 3
