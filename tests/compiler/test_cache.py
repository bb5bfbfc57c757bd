"""The disk cache: what is kept comes back, what is damaged or somebody else's does not; and the service above it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from kernel_runner import program, value

from flambeau.compiler import cache, scalar, service, target

KEY = "ab" * 20
ENTRY = cache.Entry(b"\x90\xc3" * 100, 2, 24)


@pytest.fixture
def store(tmp_path: Path) -> cache.Cache:
    return cache.Cache(str(tmp_path / "kernels"))


def kept(store: cache.Cache) -> Path:
    return Path(store.folder) / (KEY + ".kernel")


def test_what_is_kept_comes_back(store: cache.Cache) -> None:
    assert store.get(KEY) is None
    assert store.put(KEY, ENTRY)
    assert store.get(KEY) == ENTRY
    assert cache.Cache(store.folder).get(KEY) == ENTRY
    assert store.get("cd" * 20) is None
    assert stat.S_IMODE(os.stat(store.folder).st_mode) == 0o700
    assert stat.S_IMODE(kept(store).stat().st_mode) == 0o600
    assert os.listdir(store.folder) == [KEY + ".kernel"]


def test_damaged_entries_are_ignored_and_replaced(store: cache.Cache) -> None:
    store.put(KEY, ENTRY)
    whole = kept(store).read_bytes()
    for place in (0, 5, 19, 25, 52, 60, 70, len(whole) - 1):
        damaged = bytearray(whole)
        damaged[place] ^= 1
        kept(store).write_bytes(bytes(damaged))
        expected = ENTRY if 56 <= place < 60 else None  # four bytes are unused
        assert store.get(KEY) == expected, place
    for length in (0, 1, 40, 72, len(whole) - 1):
        kept(store).write_bytes(whole[:length])
        assert store.get(KEY) is None
    kept(store).write_bytes(whole + b"\0")
    assert store.get(KEY) is None
    assert store.put(KEY, ENTRY) and store.get(KEY) == ENTRY


def test_an_entry_under_another_name_is_not_taken(store: cache.Cache) -> None:
    store.put(KEY, ENTRY)
    kept(store).rename(Path(store.folder) / ("cd" * 20 + ".kernel"))
    assert store.get("cd" * 20) is None


def test_links_and_entries_others_may_write_are_not_taken(store: cache.Cache, tmp_path: Path) -> None:
    store.put(KEY, ENTRY)
    kept(store).chmod(0o666)
    assert store.get(KEY) is None
    kept(store).chmod(0o600)
    assert store.get(KEY) == ENTRY
    kept(store).rename(tmp_path / "elsewhere")
    kept(store).symlink_to(tmp_path / "elsewhere")
    assert store.get(KEY) is None


def test_a_folder_others_may_write_to_is_not_used(store: cache.Cache) -> None:
    store.put(KEY, ENTRY)
    os.chmod(store.folder, 0o777)
    fresh = cache.Cache(store.folder)
    with pytest.warns(RuntimeWarning, match="chmod go-w"):
        assert fresh.get(KEY) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fresh.get(KEY) is None and not fresh.put(KEY, ENTRY)  # said once


def test_a_folder_of_another_user_is_not_used(store: cache.Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    store.put(KEY, ENTRY)
    me = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: me + 1)
    with pytest.warns(RuntimeWarning, match="another user"):
        assert cache.Cache(store.folder).get(KEY) is None


def test_where_nothing_can_be_written_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for folder in (str(tmp_path / "file" / "kernels"), "/proc/flambeau/kernels", ""):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            closed = cache.Cache(folder)
            assert closed.get(KEY) is None and not closed.put(KEY, ENTRY) and closed.get(KEY) is None


def test_the_folder_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLAMBEAU_CACHE_DIR", "/chosen")
    assert cache.default_folder() == "/chosen"
    monkeypatch.delenv("FLAMBEAU_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/base")
    assert cache.default_folder() == "/base/flambeau"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("HOME", "/home/me")
    assert cache.default_folder() == "/home/me/.cache/flambeau"


def test_the_oldest_go_when_it_grows_too_large(store: cache.Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "LIMIT", 10_000)
    big = cache.Entry(bytes(2000), 0, 0)
    for number in range(8):
        key = f"{number:040x}"
        store.put(key, big)
        os.utime(os.path.join(store.folder, key + ".kernel"), (number + 1, number + 1))
    names = sorted(os.listdir(store.folder))
    assert sum(os.stat(os.path.join(store.folder, n)).st_size for n in names) <= 10_000
    assert f"{7:040x}.kernel" in names and f"{0:040x}.kernel" not in names


def test_an_entry_in_use_becomes_young_again(store: cache.Cache) -> None:
    store.put(KEY, ENTRY)
    os.utime(kept(store), (1, 1))
    store.get(KEY)
    assert kept(store).stat().st_mtime > 1e9


def test_digests_tell_parts_apart() -> None:
    assert cache.digest("ab", "c") != cache.digest("a", "bc")
    assert cache.digest("ab", "c") == cache.digest(b"ab", "c")


def test_targets_have_their_own_fingerprints() -> None:
    names = {target.make_target(level).fingerprint() for level in ("avx512", "avx2", "baseline")}
    assert len(names) == len({target.make_target(level).name for level in ("avx512", "avx2", "baseline")})
    assert target.llvmlite_version()[:1].isdigit()
    assert len(cache.compiler_version()) == 40


@pytest.fixture
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> cache.Cache:
    made = cache.Cache(str(tmp_path / "kernels"))
    monkeypatch.setattr(service, "_disk", made)
    monkeypatch.setattr(service, "_loaded", {})
    return made


def test_the_service_compiles_once(fresh: cache.Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    a = value(0, "float32")
    made = program("map", [a], scalar.add(a, 17.25))
    before = service.compilations()
    address, scratch = service.compile_program(made, "cc")
    assert service.compile_program(made, "cc") == (address, scratch) and scratch == 0
    assert service.compile_program(made, "cs")[0] != address
    after = service.compilations()
    assert after["compiled"] - before["compiled"] == 2 and after["loaded"] == before["loaded"]
    monkeypatch.setattr(service, "_loaded", {})
    service.compile_program(made, "cc")
    assert service.compilations() == {"compiled": after["compiled"], "loaded": after["loaded"] + 1}


def test_the_scratch_size_is_kept_too(fresh: cache.Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    a = value(0, "float32")
    d = scalar.div(scalar.div(a, 3.0), scalar.add(a, 2.0))
    made = program("row", [a], scalar.div(d, scalar.reduce_sum(d)))
    _, scratch = service.compile_program(made, "cc", "inner")
    assert scratch == 4
    monkeypatch.setattr(service, "_loaded", {})
    assert service.compile_program(made, "cc", "inner")[1] == scratch


_WARM = """
import sys
from flambeau.compiler import scalar, service
from flambeau.compiler.program import Input, Program, Value
a = Value("input", (), "float32", 0)
service.compile_program(Program("warm", "map", (Input("float32"),), (scalar.add(a, 1.5),)), "cc")
counts = service.compilations()
print(counts["compiled"], counts["loaded"], "llvmlite" in sys.modules, "numpy" in sys.modules)
"""


def test_a_warm_start_does_not_load_the_compiler(tmp_path: Path) -> None:
    environment = {**os.environ, "FLAMBEAU_CACHE_DIR": str(tmp_path / "kernels")}
    root = str(Path(cache.__file__).parents[2])
    environment["PYTHONPATH"] = os.pathsep.join([root, environment.get("PYTHONPATH", "")])
    command = [sys.executable, "-c", _WARM]
    runs = [
        subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout for _ in range(2)
    ]
    assert runs[0].split() == ["1", "0", "True", "False"]
    assert runs[1].split() == ["0", "1", "False", "False"]
