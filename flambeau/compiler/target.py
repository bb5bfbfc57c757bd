"""The CPU that machine code is made for: its features, how wide its vectors are, and a text that names it.

Features are read from what the kernel and the CPU say they can do, never from the CPU *name*: on virtual machines the
name is often wrong. Nothing here imports llvmlite, so that a warm start (everything in the disk cache) never loads it.
"""

from __future__ import annotations

import os
import platform
from typing import NamedTuple

#: /proc/cpuinfo flag -> LLVM feature, for those that change the code LLVM writes for our kernels.
_X86_FEATURES = {
    "sse": "sse", "sse2": "sse2", "pni": "sse3", "ssse3": "ssse3", "sse4_1": "sse4.1", "sse4_2": "sse4.2",
    "popcnt": "popcnt", "avx": "avx", "avx2": "avx2", "fma": "fma", "f16c": "f16c", "bmi1": "bmi", "bmi2": "bmi2",
    "abm": "lzcnt", "movbe": "movbe", "avx512f": "avx512f", "avx512cd": "avx512cd", "avx512bw": "avx512bw",
    "avx512dq": "avx512dq", "avx512vl": "avx512vl", "avx512ifma": "avx512ifma", "avx512vbmi": "avx512vbmi",
    "avx512_vbmi2": "avx512vbmi2", "avx512_bitalg": "avx512bitalg", "avx512_vpopcntdq": "avx512vpopcntdq",
    "avx512_vnni": "avx512vnni", "avx512_bf16": "avx512bf16", "gfni": "gfni",
}  # fmt: skip
#: What the 512-bit code paths rely on; every server CPU with AVX-512 since 2017 has all of them.
_AVX512 = {"avx512f", "avx512cd", "avx512bw", "avx512dq", "avx512vl", "avx2", "fma", "f16c", "bmi2"}
_AVX2 = {"avx2", "fma", "f16c", "bmi2"}
_DARWIN_X86 = "sse,sse2,sse3,ssse3,sse4.1,sse4.2,popcnt,avx,avx2,fma,f16c,bmi,bmi2,lzcnt,movbe"


class Target(NamedTuple):
    """One kind of CPU.

    `name` is "avx512", "avx2", "neon" or "baseline"; `masked` says that loads and stores under a mask are one cheap
    instruction; `half` and `fma` that conversions from float16 and fused multiply-add are instructions, not calls.
    """

    name: str
    cpu: str  # LLVM's CPU name: generic, it only sets tuning
    features: str  # LLVM's feature string
    vector_bytes: int
    masked: bool
    half: bool
    fma: bool
    alignment: int  # what a machine-code image must be aligned to: pages where code addresses its constants by page

    def lanes(self, dtype_bytes: int) -> int:
        """How many values of `dtype_bytes` bytes one vector register holds."""
        return max(1, self.vector_bytes // dtype_bytes)

    @property
    def pairs(self) -> bool:
        """Whether an instruction multiplies pairs of bfloat16 and adds them to a float32: AVX-512 BF16."""
        return "+avx512bf16" in self.features.split(",")

    @property
    def tables(self) -> bool:
        """Whether picking from 16 floats and scaling by powers of two are one instruction each."""
        return self.name == "avx512"

    def fingerprint(self) -> str:
        """A text equal on two machines only if machine code may be carried from one to the other."""
        return f"{platform.system()} {platform.machine()} {self.name} {self.features}"

    def attributes(self) -> str:
        """The LLVM function attributes every kernel carries."""
        width = self.vector_bytes * 8
        return (
            f'nounwind "no-builtins" "no-trapping-math"="true" "prefer-vector-width"="{width}" '
            f'"min-legal-vector-width"="{width}" "target-cpu"="{self.cpu}" "target-features"="{self.features}"'
        )


def _flags() -> set[str]:
    """The feature flags of the first CPU. Only the head of the file is read: the rest costs time on large machines."""
    try:
        descriptor = os.open("/proc/cpuinfo", os.O_RDONLY)
    except OSError:
        return set()
    try:
        text = b""
        while len(text) < 1 << 16:
            piece = os.read(descriptor, 4096)
            text += piece
            start = max(text.find(b"\nflags"), text.find(b"\nFeatures"))
            if not piece or (start >= 0 and text.find(b"\n", start + 1) >= 0):
                break
    finally:
        os.close(descriptor)
    for line in text.decode("ascii", "replace").split("\n"):
        key, _, value = line.partition(":")
        if key.strip() in ("flags", "Features"):
            return set(value.split())
    return set()


def _x86(features: set[str], level: str) -> Target:
    if level == "avx512" and features >= _AVX512:
        kept, name, size = features, "avx512", 64
    elif level in ("avx512", "avx2") and features >= _AVX2:
        kept, name, size = {f for f in features if not f.startswith("avx512")}, "avx2", 32
    else:
        kept = {f for f in features if not f.startswith("avx") and f not in ("fma", "f16c", "gfni")}
        name, size = "baseline", 16
    text = ",".join("+" + f for f in sorted(kept)) + ",-prefer-256-bit"
    return Target(name, "x86-64", text, size, name == "avx512", "f16c" in kept, "fma" in kept, 64)


def make_target(level: str = "avx512") -> Target:
    """The target of this machine, using at most `level` ("avx512", "avx2" or "baseline"; on x86 only)."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        flags = _flags()
        features = {llvm for flag, llvm in _X86_FEATURES.items() if flag in flags}
        if not flags and platform.system() == "Darwin":
            features = set(_DARWIN_X86.split(","))
        return _x86(features | {"sse", "sse2"}, level)
    if machine in ("aarch64", "arm64"):
        flags = _flags()
        extra = [name for flag, name in (("asimdhp", "fullfp16"), ("atomics", "lse")) if flag in flags]
        if platform.system() == "Darwin":
            extra.append("reserve-x18")  # the system's register there
        text = ",".join("+" + f for f in ["neon", *extra])
        return Target("neon", "generic", text, 16, False, True, True, 4096)
    return Target("baseline", "generic", "", 16, False, False, False, 4096)


_host: Target | None = None


def host() -> Target:
    """The target kernels are compiled for; `FLAMBEAU_TARGET=avx2` or `baseline` asks for less than the CPU can do."""
    global _host
    if _host is None:
        _host = make_target(os.environ.get("FLAMBEAU_TARGET", "avx512"))
    return _host


def llvmlite_version() -> str:
    """The version of the installed llvmlite without importing it (its import takes longer than a warm start)."""
    from importlib.machinery import PathFinder

    spec = PathFinder.find_spec("llvmlite")
    if spec is None or not spec.submodule_search_locations:
        return "none"
    try:
        with open(os.path.join(spec.submodule_search_locations[0], "_version.py"), encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return "unknown"
    for line in text.split("\n"):
        key, _, value = line.partition("=")
        if key.strip() in ("version_version", "version", "__version__") and value.strip()[:1] in "'\"":
            return value.strip().strip("'\"")
    return text
