"""Machine code on disk, so that a kernel is compiled once for a machine and not once for a process.

What is kept will be *run*, so the folder must belong to the user and nobody else may write to it; else it is not used.
Entries are written whole to a temporary file and then renamed, and carry a digest: an entry that is damaged, cut short,
a link or somebody else's is ignored and compiled again. Where nothing can be written, nothing is kept, silently.

The folder is `$FLAMBEAU_CACHE_DIR`, else `$XDG_CACHE_HOME/flambeau`, else `~/.cache/flambeau`.
"""

from __future__ import annotations

import os
import stat
import struct
import time
from typing import NamedTuple

try:
    from _blake2 import blake2b  # hashlib would load OpenSSL for the same function
except ImportError:  # an interpreter built without it
    from hashlib import blake2b

_MAGIC = b"flambeau kernel 1\n"
_HEADER = struct.Struct("<20s32sIIQ")  # magic, digest, entry, reserved, scratch bytes
_LARGEST = 1 << 24
#: Entries that were not used for longest go when all together are more than this.
LIMIT = 256 << 20
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOEXEC = getattr(os, "O_CLOEXEC", 0)


class Entry(NamedTuple):
    """A kernel: its image, the offset of its entry point, and its scratch bytes for each element of a row."""

    code: bytes
    entry: int
    scratch: int


def digest(*parts: str | bytes) -> str:
    """A name for these texts together: equal only if all are equal."""
    state = blake2b(digest_size=20)
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        state.update(struct.pack("<Q", len(data)))
        state.update(data)
    return state.hexdigest()


_version: str | None = None
#: The files of this folder whose text decides which machine code a program becomes.
_SOURCES = (
    "program", "registers", "function_text", "instructions", "emit", "passes", "reduction", "mathematics", "jit",
    "target", "transposition", "loops", "packing", "philox", "expression",
)  # fmt: skip


def compiler_version() -> str:
    """Changes whenever the compiler's own source, llvmlite or the CPU does; "" if that cannot be told."""
    global _version
    if _version is None:
        from flambeau.compiler import target

        folder = os.path.dirname(os.path.abspath(__file__))
        parts: list[str | bytes] = [target.llvmlite_version(), target.host().fingerprint()]
        try:
            for name in sorted(os.listdir(folder)):
                if name.endswith(".py") and name.startswith(_SOURCES):
                    with open(os.path.join(folder, name), "rb") as file:
                        parts += [name, file.read()]
        except OSError:
            parts = []
        _version = digest(*parts) if len(parts) > 2 else ""
    return _version


def default_folder() -> str:
    """Where kernels are kept, or "" if no place is known."""
    chosen = os.environ.get("FLAMBEAU_CACHE_DIR")
    if chosen is not None:
        return chosen
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):
        home = os.path.expanduser("~")
        if not os.path.isabs(home):
            return ""
        base = os.path.join(home, ".cache")
    return os.path.join(base, "flambeau")


class Cache:
    """The entries of one folder, which is made when first written to; with `folder` "" nothing is kept."""

    def __init__(self, folder: str | None = None) -> None:
        self.folder = default_folder() if folder is None else folder
        self._checked = False
        self._usable = False
        self._bytes: int | None = None  # of all entries, once counted

    # --- the folder ---

    def _ready(self, make: bool) -> bool:
        """Whether the folder is there and safe to use."""
        if self._checked:
            return self._usable
        if not self.folder or not hasattr(os, "geteuid"):
            self._checked = True
            return False
        try:
            if make:
                os.makedirs(os.path.dirname(self.folder) or ".", exist_ok=True)
                try:
                    os.mkdir(self.folder, 0o700)
                except FileExistsError:
                    pass
            found = os.stat(self.folder)
        except OSError:
            self._checked = make  # a folder that is not there yet may be made later
            return False
        self._checked = True
        problem = ""
        if not stat.S_ISDIR(found.st_mode):
            problem = "is not a folder"
        elif found.st_uid != os.geteuid():
            problem = "belongs to another user"
        elif found.st_mode & 0o022:
            problem = "can be written to by others (fix: chmod go-w)"
        if problem:
            import warnings

            warnings.warn(
                f"compile: the kernel cache {self.folder} {problem}; it is not used, so kernels are compiled again "
                "in every process. FLAMBEAU_CACHE_DIR names another folder.",
                RuntimeWarning,
                stacklevel=2,
            )
            return False
        self._usable = True
        return True

    def _path(self, key: str) -> str:
        return os.path.join(self.folder, key + ".kernel")

    # --- entries ---

    def get(self, key: str) -> Entry | None:
        """The entry of this key if it is there and whole."""
        if not self._ready(make=False):
            return None
        path = self._path(key)
        try:
            descriptor = os.open(path, os.O_RDONLY | _NOFOLLOW | _CLOEXEC)
        except OSError:
            return None
        try:
            found = os.fstat(descriptor)
            if (
                not stat.S_ISREG(found.st_mode)
                or found.st_uid != os.geteuid()
                or found.st_mode & 0o022
                or not _HEADER.size < found.st_size < _LARGEST
            ):
                return None
            data = os.read(descriptor, found.st_size)
        except OSError:
            return None
        finally:
            os.close(descriptor)
        if len(data) != found.st_size:
            return None
        magic, expected, entry, _, scratch = _HEADER.unpack_from(data)
        code = data[_HEADER.size :]
        if magic.rstrip(b"\0") != _MAGIC or expected != _seal(key, entry, scratch, code) or entry >= len(code):
            return None
        if found.st_mtime < time.time() - 86400:
            try:
                os.utime(path)  # used lately
            except OSError:
                pass
        return Entry(code, entry, scratch)

    def put(self, key: str, entry: Entry) -> bool:
        """Keep an entry; False if that is not possible here."""
        if not self._ready(make=True):
            return False
        seal = _seal(key, entry.entry, entry.scratch, entry.code)
        data = _HEADER.pack(_MAGIC, seal, entry.entry, 0, entry.scratch) + entry.code
        if len(data) >= _LARGEST:
            return False
        temporary = os.path.join(self.folder, f"{os.getpid()}-{os.urandom(6).hex()}.temporary")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW | _CLOEXEC, 0o600)
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
            finally:
                os.close(descriptor)
            os.replace(temporary, self._path(key))
        except OSError:
            try:
                os.unlink(temporary)
            except OSError:
                pass
            return False
        self._bytes = self._bytes + len(data) if self._bytes is not None else self._trim()
        if self._bytes > LIMIT:
            self._bytes = self._trim()
        return True

    def _trim(self) -> int:
        """Remove what was not used for longest until three quarters of the limit are left; the bytes that remain."""
        entries, total = [], 0
        try:
            for item in os.scandir(self.folder):
                try:
                    found = item.stat(follow_symlinks=False)
                except OSError:
                    continue
                if item.name.endswith(".temporary") and found.st_mtime < time.time() - 3600:
                    os.unlink(item.path)  # left behind by a process that died
                elif item.name.endswith(".kernel"):
                    entries.append((found.st_mtime, found.st_size, item.path))
                    total += found.st_size
        except OSError:
            return total
        if total > LIMIT:
            for _, size, path in sorted(entries):
                if total <= LIMIT * 3 // 4:
                    break
                try:
                    os.unlink(path)
                    total -= size
                except OSError:
                    pass
        return total


def _seal(key: str, entry: int, scratch: int, code: bytes) -> bytes:
    state = blake2b(digest_size=32)
    state.update(f"{key} {entry} {scratch} {len(code)}\n".encode())
    state.update(code)
    return state.digest()
