"""The disk cache from outside: whatever its folder is like, results are right."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .support import output_of, run_program

PROGRAM = """
import warnings
warnings.simplefilter("always")
import flambeau as fl
x = fl.tensor([0.0, 1.0, -2.0], requires_grad=True)
y = (x.exp() * 2 + x).sum()
y.backward()
assert abs(y.item() - (2 * (1 + 2.718281828 + 0.135335283) - 1)) < 1e-5
assert [round(v, 4) for v in x.grad.tolist()] == [3.0, 6.4366, 1.2707]
print(fl.compilations()["compiled"], fl.compilations()["loaded"])
"""


def run(folder: Path | str, **environment: str | None) -> tuple[int, int]:
    """How many kernels a process with this cache folder compiled and loaded."""
    compiled, loaded = output_of(PROGRAM, FLAMBEAU_CACHE_DIR=str(folder), **environment).split()
    return int(compiled), int(loaded)


@pytest.fixture
def filled(tmp_path: Path) -> tuple[Path, int]:
    """A cache that a process has filled, and how many entries it has."""
    folder = tmp_path / "cache"
    compiled, loaded = run(folder)
    assert compiled > 0 and loaded == 0
    return folder, compiled


def test_the_second_process_loads_what_the_first_compiled(filled):
    folder, count = filled
    assert run(folder) == (0, count)
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(entry.stat().st_mode & 0o077 == 0 for entry in folder.iterdir())
    assert not list(folder.glob("*.temporary"))


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: b"",
        lambda data: data[: len(data) // 2],
        lambda data: data[:-1],
        lambda data: data[:30] + bytes([data[30] ^ 1]) + data[31:],
        lambda data: data[:200] + bytes([data[200] ^ 0x40]) + data[201:],
        lambda data: data[:-5] + bytes([data[-5] ^ 0xFF]) + data[-4:],
        lambda data: bytes(len(data)),
        lambda data: data + b"more",
    ],
    ids=["empty", "half", "one byte short", "digest", "code", "last bytes", "zeros", "longer"],
)
def test_damaged_entries_are_compiled_again_and_replaced(tmp_path, shared_cache, damage):
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    for name, data in shared_cache.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(damage(data))
    assert run(folder) == (len(shared_cache), 0)
    for name, data in shared_cache.items():
        assert len((folder / name).read_bytes()) == len(data)


@pytest.fixture(scope="module")
def shared_cache(tmp_path_factory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("filled") / "cache"
    run(folder)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_an_entry_under_another_name_is_not_run(tmp_path, shared_cache):
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    names, contents = list(shared_cache), list(shared_cache.values())
    for name, data in zip(names, contents[1:] + contents[:1], strict=True):
        path = folder / name
        path.touch(mode=0o600)
        path.write_bytes(data)
    assert run(folder) == (len(names), 0)


def test_links_and_entries_that_others_may_write_are_ignored(tmp_path, shared_cache):
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    for number, (name, data) in enumerate(shared_cache.items()):
        target = tmp_path / name
        target.write_bytes(data)
        if number % 2:
            (folder / name).symlink_to(target)
        else:
            (folder / name).write_bytes(data)
            (folder / name).chmod(0o666)
    assert run(folder) == (len(shared_cache), 0)


def test_a_folder_that_others_may_write_is_not_used_and_said_so(tmp_path, shared_cache):
    folder = tmp_path / "cache"
    folder.mkdir()
    for name, data in shared_cache.items():
        (folder / name).write_bytes(data)
        (folder / name).chmod(0o600)
    folder.chmod(0o770)
    done = run_program(PROGRAM, FLAMBEAU_CACHE_DIR=str(folder))
    assert done.returncode == 0 and done.stdout.split() == [str(len(shared_cache)), "0"]
    assert "chmod go-w" in done.stderr and done.stderr.count("RuntimeWarning") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_not_used(tmp_path, shared_cache):
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    for name, data in shared_cache.items():
        (folder / name).write_bytes(data)
    os.chown(folder, 12345, 12345)
    before = sorted(os.listdir(folder))
    assert run(folder) == (len(shared_cache), 0)
    assert sorted(os.listdir(folder)) == before


def test_places_where_nothing_can_be_kept(tmp_path):
    file = tmp_path / "file"
    file.write_text("not a folder")
    read_only = tmp_path / "read_only"
    read_only.mkdir(mode=0o500)
    for folder in (file, file / "below", read_only / "cache", "/proc/self/cache", ""):
        compiled, loaded = run(folder)
        assert compiled + loaded > 0
    assert file.read_text() == "not a folder"


def test_a_home_that_is_read_only_or_missing(tmp_path):
    home = tmp_path / "home"
    home.mkdir(mode=0o500)
    for place in (str(home), str(tmp_path / "nowhere"), "/proc/self", ""):
        compiled, loaded = output_of(PROGRAM, FLAMBEAU_CACHE_DIR=None, XDG_CACHE_HOME=None, HOME=place).split()
        assert int(compiled) + int(loaded) > 0


def test_the_environment_chooses_the_folder(tmp_path):
    output_of(PROGRAM, FLAMBEAU_CACHE_DIR=None, XDG_CACHE_HOME=str(tmp_path))
    assert list((tmp_path / "flambeau").glob("*.kernel"))


def test_processes_may_fill_one_cache_at_once(tmp_path):
    import subprocess
    import sys

    from .support import ROOT

    environment = {**os.environ, "FLAMBEAU_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(3)
    ]
    for process in processes:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors.decode()
    compiled, loaded = run(tmp_path / "cache")
    assert compiled == 0 and loaded > 0
