"""From LLVM IR text to machine code that runs: write an object, link it into one flat image, load it.

An image is position independent: code followed by its constants, with every relocation already applied, so it can be
kept on disk and loaded at any suitably aligned address by copying. It calls nothing outside itself; an object
that would (a libm function, memset) is refused. llvmlite is imported here only, and only when something is compiled.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from flambeau.compiler.target import Target, host


class Image(NamedTuple):
    """Machine code: `code` is the flat image, `entry` the offset of the kernel's first instruction in it."""

    code: bytes
    entry: int


class LinkError(RuntimeError):
    """An object file that cannot be made into an image of its own."""


_machines: dict[Target, Any] = {}


def _machine(target: Target) -> Any:
    machine = _machines.get(target)
    if machine is None:
        import llvmlite.binding as llvm

        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_triple(_triple(llvm)).create_target_machine(
            cpu=target.cpu, features=target.features, opt=2, reloc="pic", codemodel="small"
        )
        _machines[target] = machine
    return machine


def _triple(llvm: Any) -> str:
    # Objects are always ELF, whatever the system: the linker below reads nothing else.
    triple = llvm.get_process_triple()
    return triple.split("-")[0].replace("arm64", "aarch64") + "-unknown-linux-gnu"


def parse(text: str) -> Any:
    """IR text as an LLVM module.

    No optimisation passes run over it: the emitters write what they mean, and on their code the passes were measured to
    cost a seventh of the compile time and to change no kernel's speed. Code generation does the rest.
    """
    import llvmlite.binding as llvm

    return llvm.parse_assembly(text)


def compile_ir(text: str, target: Target | None = None) -> Image:
    """Machine code of the function `kernel` in `text`."""
    machine = _machine(target or host())
    return link(machine.emit_object(parse(text)))


def assembly(text: str, target: Target | None = None) -> str:
    """The assembly of `text`, for people."""
    machine = _machine(target or host())
    return machine.emit_assembly(parse(text))


# --- a linker for one object ---------------------------------------------------------------------------------------

_SHT_SYMTAB, _SHT_RELA, _SHT_NOBITS, _SHT_REL = 2, 4, 8, 9
_SHF_WRITE, _SHF_ALLOC, _SHF_EXECINSTR = 1, 2, 4
_X86_64, _AARCH64 = 62, 183


def link(data: bytes, symbol: str = "kernel") -> Image:
    """Lay the code and the constants of an ELF object out in one flat image and apply its relocations."""
    if data[:6] != b"\x7fELF\x02\x01":
        raise LinkError("compile: the code generator did not write a 64-bit little-endian ELF object")
    machine = struct.unpack_from("<H", data, 18)[0]
    (table,) = struct.unpack_from("<Q", data, 40)
    size, count, names = struct.unpack_from("<HHH", data, 58)
    sections = [struct.unpack_from("<IIQQQQIIQQ", data, table + i * size) for i in range(count)]
    names_at = sections[names][4]

    def text_at(offset: int) -> str:
        return data[offset : data.index(b"\0", offset)].decode()

    # Code first, constants after it, each at its own alignment.
    wanted = []
    for number, (name, kind, flags, _, _, length, *_rest) in enumerate(sections):
        label = text_at(names_at + name)
        if not flags & _SHF_ALLOC or not length or label.startswith(".eh_frame"):
            continue
        if flags & _SHF_WRITE or kind == _SHT_NOBITS:
            # `.data.rel.ro` would need addresses patched at load time; kernels have no writable data.
            raise LinkError(f"compile: the kernel's object has a section {label} that cannot be position independent")
        wanted.append((not flags & _SHF_EXECINSTR, number))
    place: dict[int, int] = {}
    image = bytearray()
    for _, number in sorted(wanted):
        section = sections[number]
        alignment = max(1, section[8])
        image += bytes(-len(image) % alignment)
        place[number] = len(image)
        image += data[section[4] : section[4] + section[5]]

    entry = None
    symbols: list[tuple[str, int, int]] = []  # name, section, value
    for section in sections:
        if section[1] != _SHT_SYMTAB:
            continue
        strings = sections[section[6]][4]
        for at in range(section[4], section[4] + section[5], 24):
            name, _info, _other, index, value, _size = struct.unpack_from("<IBBHQQ", data, at)
            symbols.append((text_at(strings + name), index, value))
            if symbols[-1][0] == symbol and index in place:
                entry = place[index] + value
    if entry is None:
        raise LinkError(f"compile: the object does not define {symbol}")

    for section in sections:
        if section[1] == _SHT_REL and section[7] in place:
            raise LinkError("compile: the object has relocations without addends")
        if section[1] != _SHT_RELA or section[7] not in place:
            continue
        base = place[section[7]]
        for at in range(section[4], section[4] + section[5], 24):
            offset, info, addend = struct.unpack_from("<QQq", data, at)
            name, index, value = symbols[info >> 32]
            if index not in place:
                raise LinkError(f"compile: the kernel calls {name or 'something'} outside itself")
            apply = _apply_x86 if machine == _X86_64 else _apply_aarch64
            apply(image, info & 0xFFFFFFFF, base + offset, place[index] + value + addend)
    return Image(bytes(image), entry)


def _apply_x86(image: bytearray, kind: int, at: int, to: int) -> None:
    if kind in (2, 4):  # R_X86_64_PC32, R_X86_64_PLT32
        struct.pack_into("<i", image, at, to - at)
    elif kind == 24:  # R_X86_64_PC64
        struct.pack_into("<q", image, at, to - at)
    else:
        raise LinkError(f"compile: x86-64 relocation {kind} is not supported")


def _apply_aarch64(image: bytearray, kind: int, at: int, to: int) -> None:
    # Images are loaded at page boundaries, so the low 12 bits of an offset are those of the address.
    (word,) = struct.unpack_from("<I", image, at)
    scale = {277: 0, 278: 0, 284: 1, 285: 2, 286: 3, 299: 4}.get(kind)  # ADD_ABS_LO12_NC and LDST8..128_ABS_LO12_NC
    if kind in (282, 283):  # JUMP26, CALL26
        word = word & 0xFC000000 | (to - at >> 2) & 0x03FFFFFF
    elif kind == 275:  # ADR_PREL_PG_HI21
        pages = (to >> 12) - (at >> 12)
        word = word & 0x9F00001F | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5
    elif kind == 274:  # ADR_PREL_LO21
        word = word & 0x9F00001F | (to - at & 3) << 29 | (to - at >> 2 & 0x7FFFF) << 5
    elif scale is not None:
        word = word & ~(0xFFF << 10) | ((to & 0xFFF) >> scale) << 10
    elif kind == 261:  # PREL32
        word = to - at & 0xFFFFFFFF
    else:
        raise LinkError(f"compile: AArch64 relocation {kind} is not supported")
    struct.pack_into("<I", image, at, word)


# --- loading -------------------------------------------------------------------------------------------------------


def load(image: bytes, entry: int = 0) -> int:
    """Copy an image into executable memory and return the address of its kernel."""
    try:
        from flambeau._core import load_machine_code
    except ImportError:
        load_machine_code = _load_in_python
    return load_machine_code(image) + entry


def _load_in_python(image: bytes) -> int:
    """The loader without the core: one private mapping an image, written first, then made executable."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long)
    libc.mprotect.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    size = -(-max(1, len(image)) // 4096) * 4096
    address = libc.mmap(None, size, 3, 0x22, -1, 0)  # PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS
    if address in (None, ctypes.c_void_p(-1).value):
        raise MemoryError("compile: no memory for machine code")
    ctypes.memmove(address, image, len(image))
    if libc.mprotect(address, size, 5):  # PROT_READ | PROT_EXEC
        raise OSError(ctypes.get_errno(), "compile: the system refuses executable memory")
    return address
