"""Reading the files of `torch.save` (.pt, .pth: a zip archive since PyTorch 1.6) without running anything of them.

The structure in such a file is a pickle: a small program. It is not given to Python's unpickler, which can be made to
call anything. It is walked here, opcode by opcode, and only a short list of names means something: tensors, their
storages, dtypes, and plain containers. Everything else is an error that names it. Called by `serialization.load`.
"""

from __future__ import annotations

import struct
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any, BinaryIO

from flambeau import dtypes
from flambeau.devices import device as Device
from flambeau.utils.memory import empty_with_bytes

__all__ = ["read"]

_STORAGES = {
    "DoubleStorage": "float64", "FloatStorage": "float32", "HalfStorage": "float16", "BFloat16Storage": "bfloat16",
    "LongStorage": "int64", "IntStorage": "int32", "ShortStorage": "int16", "CharStorage": "int8",
    "ByteStorage": "uint8", "BoolStorage": "bool", "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128", "UntypedStorage": "uint8",
}  # fmt: skip
_DTYPES = (
    "float64", "float32", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32",
    "uint64", "bool", "complex64", "complex128",
)  # fmt: skip
LONGEST_NAME = 200
LARGEST_KEY = 1000  # parts of a key of a dictionary, those of tuples within tuples counted each time they occur


class _Storage:
    """Where a tensor's elements are in the archive; read when the first tensor asks for them."""

    def __init__(self, key: str, dtype: Any, count: int, location: str) -> None:
        self.key, self.dtype, self.count, self.location = key, dtype, count, location


class _Kind:
    """A class of storages."""

    def __init__(self, dtype: Any, untyped: bool) -> None:
        self.dtype, self.untyped = dtype, untyped


class _Known:
    """Something that the file may call: one of our functions under PyTorch's name."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name, self.function = name, function


class _Array:
    """A NumPy array whose state comes later."""

    value: Any = None


_MARK = object()


def read(file: BinaryIO, name: Any, moved: Callable[[Any, str], Any]) -> Any:
    """What the archive holds; `moved` puts a tensor that was saved on a device where it is wanted.

    Errors: ValueError for an archive that is damaged, of another kind, or that holds objects of other classes.
    """
    import zipfile
    import zlib

    try:
        archive = zipfile.ZipFile(file)
        return _Archive(archive, name, moved).structure()
    except _RefusedError as refused:
        raise ValueError(f"load: {name} {refused}") from None
    except _MisplacedError as misplaced:
        raise misplaced.args[0] from None
    except (
        zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, struct.error, EOFError, ValueError,
        TypeError, LookupError, AttributeError, OverflowError, RecursionError, OSError, Warning,
    ) as error:  # fmt: skip
        raise ValueError(
            f"load: {name} is damaged or no file of torch.save: {type(error).__name__}: {str(error)[:200]}"
        ) from None


class _RefusedError(Exception):
    """The file is whole, but not what is read here."""


class _MisplacedError(Exception):
    """The file is whole, but the device that is wanted is not there."""


class _Archive:
    """The entries of one file."""

    def __init__(self, archive: Any, name: Any, moved: Callable[[Any, str], Any]) -> None:
        self.archive, self.name, self.moved = archive, name, moved
        entries = archive.infolist()
        self.entries = {entry.filename: entry for entry in entries}
        pickles = [entry.filename for entry in entries if entry.filename.rpartition("/")[2] == "data.pkl"]
        if not pickles:
            raise _RefusedError("is a zip archive, but none that torch.save wrote: it has no data.pkl")
        self.folder = min(pickles, key=len)[: -len("data.pkl")]
        if self.folder + "constants.pkl" in self.entries:
            raise _RefusedError(
                "is a TorchScript program, not a file of tensors; save the module's state_dict() instead"
            )
        self.tensors: dict[tuple[str, str], Any] = {}
        archive.fp.seek(0, 2)
        self.length = archive.fp.tell()

    def bytes(self, path: str) -> bytes:
        with self.archive.open(self.checked(path)) as entry:
            return entry.read()

    def checked(self, path: str) -> Any:
        """The entry, if it can be what it says: stored as it is, and no longer than the file."""
        entry = self.entries.get(path)
        if entry is None:
            raise ValueError(f"the archive has no entry {path[:LONGEST_NAME]!r}; it was cut short")
        if entry.compress_type != 0 or entry.file_size > self.length:
            raise ValueError(f"the entry {path[:LONGEST_NAME]!r} is not stored as torch.save stores it")
        return entry

    def structure(self) -> Any:
        order = self.folder + "byteorder"
        if order in self.entries and self.bytes(order).strip() not in (b"little", b""):
            raise _RefusedError(
                "was written on a machine with the other byte order; save it again on this kind of machine"
            )
        return _Machine(self).run(self.bytes(self.folder + "data.pkl"))

    def memory(self, storage: _Storage) -> Any:
        """The elements of a storage as a tensor of one dimension; the same tensor for every view of it."""
        known = self.tensors.get((storage.key, storage.dtype.name))
        if known is not None:
            return known
        entry = self.checked(f"{self.folder}data/{storage.key}")
        if entry.file_size != storage.count * storage.dtype.itemsize:
            raise ValueError(
                f"storage {storage.key} needs {storage.count * storage.dtype.itemsize} bytes, "
                f"but {entry.file_size} are there"
            )
        is_bool = storage.dtype is dtypes.bool
        tensor, memory = empty_with_bytes((storage.count,), dtypes.uint8 if is_bool else storage.dtype)
        with self.archive.open(entry) as stream:
            done = 0
            while done < len(memory):
                part = stream.read(min(len(memory) - done, 1 << 24))
                if not part:
                    raise ValueError(f"storage {storage.key} ends early; the file was cut short")
                memory[done : done + len(part)] = part
                done += len(part)
            stream.read(1)  # the checksum is compared at the end
        if is_bool:
            tensor = tensor != 0
        try:
            tensor = self.moved(tensor, storage.location)
        except RuntimeError as error:
            raise _MisplacedError(error) from None
        self.tensors[storage.key, storage.dtype.name] = tensor
        return tensor

    def tensor(self, storage: Any, offset: Any, size: Any, stride: Any, grad: Any, dtype: Any = None) -> Any:
        if not isinstance(storage, _Storage):
            raise ValueError("a tensor is built from something that is no storage")
        numbers = [offset, *size, *stride]
        if len(size) != len(stride) or any(type(n) is not int or n < 0 for n in numbers):
            raise ValueError("a tensor has sizes, strides or an offset that are no whole numbers")
        memory = self.memory(storage)
        if dtype is not None and dtype is not memory.dtype:
            memory = memory.view(dtype)
        last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
        if 0 not in size and last >= memory.numel():
            raise ValueError(f"a tensor of sizes {tuple(size)} reaches beyond its storage of {memory.numel()} elements")
        result = memory.as_strided(tuple(size), tuple(stride), offset if 0 not in size else 0)
        return result.requires_grad_() if grad is True else result


class _Machine:
    """The stack, the marks and the memory of a pickle, without anything that could call into Python."""

    def __init__(self, archive: _Archive) -> None:
        self.archive = archive
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.names = self._names()
        self.room = 0  # how many elements containers may still be given by copying others

    def run(self, text: bytes) -> Any:
        import pickletools

        self.room = 16 * len(text)
        for opcode, argument, _ in pickletools.genops(text):
            name = opcode.name
            if name in _LITERALS:
                self.stack.append(argument)
                continue
            action = getattr(self, "do_" + name.lower(), None)
            if action is None:
                raise _RefusedError(f"uses {name}, which no file of torch.save needs")
            if name == "STOP":
                return self._end(self.stack.pop())
            action() if argument is None else action(argument)
        raise ValueError("the structure has no end")

    # --- what names mean ---------------------------------------------------------------------------------------------

    def _names(self) -> dict[str, Any]:
        archive = self.archive

        def tensor(storage: Any, offset: Any, size: Any, stride: Any, grad: Any = False, *_: Any) -> Any:
            return archive.tensor(storage, offset, size, stride, grad)

        def typed(storage: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *_: Any) -> Any:
            if not isinstance(dtype, dtypes.dtype):
                raise ValueError("a tensor's dtype is none")
            return archive.tensor(storage, offset, size, stride, grad, dtype)

        def parameter(data: Any, grad: Any = True, *_: Any) -> Any:
            from flambeau.nn.parameter import Parameter

            if not hasattr(data, "requires_grad"):
                raise ValueError(f"a parameter is made of a {type(data).__name__}")
            return Parameter(data, requires_grad=grad is True)

        def subclass(function: Any, kind: Any, given: Any, state: Any) -> Any:
            if not isinstance(function, _Known):
                raise ValueError("a tensor is built by something that builds none")
            return function.function(*given)

        def size(values: Any = ()) -> Any:
            if not isinstance(values, (tuple, list)) or any(type(n) is not int for n in values):
                raise ValueError("a size that is no tuple of whole numbers")
            return dtypes.Size(values)

        def device(kind: Any, index: Any = None) -> Any:
            if not isinstance(kind, str) or not (index is None or type(index) is int):
                raise ValueError("a device that has no name")
            return Device(kind) if index is None else Device(kind, index)

        def layout(text: Any) -> _Layout:
            if text not in ("torch.sparse_coo", "torch.sparse_csr"):
                raise ValueError("a layout that is neither sparse_coo nor sparse_csr")
            return _Layout(text)

        def sparse(kind: Any, parts: Any) -> Any:
            from flambeau import sparse

            if not isinstance(kind, _Layout) or not all(hasattr(part, "requires_grad") for part in parts[:-2]):
                raise ValueError("a sparse tensor without layout, indices or values")
            if kind == "torch.sparse_csr":
                rows, columns, value, sizes = parts
                return sparse.sparse_csr_tensor(rows, columns, value, size(sizes))
            index, value, sizes, *coalesced = parts
            return sparse.sparse_coo_tensor(index, value, size(sizes), is_coalesced=coalesced == [True])

        def filled(kind: Any) -> Callable[..., Any]:
            """A container of others' elements. Copies count: a small file must not fill the memory with them."""

            def fill(values: Any = ()) -> Any:
                if not isinstance(values, (tuple, list, dict, set, frozenset, bytes, str)):
                    raise ValueError(f"a {kind.__name__} of a {type(values).__name__}")
                self.room -= len(values)
                if self.room < 0:
                    raise ValueError("containers with more elements than the file could hold")
                if kind not in (list, tuple):
                    paired = kind in (dict, OrderedDict)
                    for value in values:
                        _check_key(value[0] if paired and isinstance(value, (tuple, list)) and value else value)
                return kind(values)

            return fill

        def encoded(text: Any, coding: Any = "utf-8") -> Any:
            if coding not in ("latin1", "latin-1", "utf-8", "ascii"):
                raise ValueError("bytes in an unknown coding")
            return text.encode(coding)

        def scalar(dtype: Any, data: Any) -> Any:
            import numpy

            if not isinstance(dtype, _DtypeText) or not isinstance(data, bytes):
                raise ValueError("a NumPy number without dtype or data")
            return numpy.frombuffer(data, dtype, 1)[0].item()

        known = {
            "torch._utils._rebuild_tensor": tensor, "torch._utils._rebuild_tensor_v2": tensor,
            "torch._utils._rebuild_tensor_v3": typed, "torch._utils._rebuild_parameter": parameter,
            "torch._utils._rebuild_parameter_with_state": parameter, "torch._tensor._rebuild_from_type_v2": subclass,
            "torch._utils._rebuild_sparse_tensor": sparse, "torch.serialization._get_layout": layout,
            "torch.Size": size, "torch.device": device, "_codecs.encode": encoded,
            "collections.OrderedDict": filled(OrderedDict), "collections.Counter": filled(Counter),
            "collections.defaultdict": lambda *_: defaultdict(),  # its factory would be code
            "builtins.set": filled(set), "builtins.frozenset": filled(frozenset), "builtins.list": filled(list),
            "builtins.dict": filled(dict), "builtins.tuple": filled(tuple), "builtins.int": lambda value=0: int(value),
            "builtins.bytearray": lambda *given: bytearray(*_few(given)),
            "builtins.complex": lambda a, b: complex(a, b),
            "numpy.dtype": _array_dtype, "numpy.core.multiarray.scalar": scalar,
            "numpy._core.multiarray.scalar": scalar, "numpy.core.multiarray._reconstruct": lambda *_: _Array(),
            "numpy._core.multiarray._reconstruct": lambda *_: _Array(),
        }  # fmt: skip
        names: dict[str, Any] = {name: _Known(name, function) for name, function in known.items()}  # type: ignore[arg-type]
        for name in _DTYPES:
            names[f"torch.{name}"] = getattr(dtypes, name, None)
        for storage, dtype in _STORAGES.items():
            kind = _Kind(getattr(dtypes, dtype, None), storage == "UntypedStorage")
            names[f"torch.{storage}"] = names[f"torch.storage.{storage}"] = kind
        for name in ("numpy.ndarray", "torch.Tensor", "torch._tensor.Tensor", "torch.nn.parameter.Parameter"):
            names[name] = _Known(name, _no_call)
        for module in ("__builtin__", "builtins"):
            names.update({f"{module}.{key[9:]}": v for key, v in list(names.items()) if key.startswith("builtins.")})
        return names

    def _name(self, name: str) -> Any:
        found = self.names.get(name)
        if found is None:
            shown = name[:LONGEST_NAME]
            if name.startswith("torch.nn.") or not name.startswith(("torch.", "builtins.")):
                raise _RefusedError(
                    f"holds an object of {shown}, and building it would run code; only tensors and plain "
                    "containers are read: where the file was made, save the object's state_dict() instead"
                )
            raise _RefusedError(
                f"holds {shown}, which cannot be read without running code from the file or has no match here"
            )
        return found

    # --- opcodes -----------------------------------------------------------------------------------------------------

    def _marked(self) -> list[Any]:
        for position in range(len(self.stack) - 1, -1, -1):
            if self.stack[position] is _MARK:
                found = self.stack[position + 1 :]
                del self.stack[position:]
                return found
        raise ValueError("a list without a beginning")

    def do_proto(self, version: int) -> None:
        if version > 5:
            raise _RefusedError(f"uses version {version} of the pickle protocol, which does not exist yet")

    def do_frame(self, size: int) -> None:
        pass

    def do_mark(self) -> None:
        self.stack.append(_MARK)

    def do_pop(self) -> None:
        self.stack.pop()

    def do_pop_mark(self) -> None:
        self._marked()

    def do_dup(self) -> None:
        self.stack.append(self.stack[-1])

    def do_none(self) -> None:
        self.stack.append(None)

    def do_newtrue(self) -> None:
        self.stack.append(True)

    def do_newfalse(self) -> None:
        self.stack.append(False)

    def do_empty_dict(self) -> None:
        self.stack.append({})

    def do_empty_list(self) -> None:
        self.stack.append([])

    def do_empty_tuple(self) -> None:
        self.stack.append(())

    def do_empty_set(self) -> None:
        self.stack.append(set())

    def do_tuple(self) -> None:
        self.stack.append(tuple(self._marked()))

    def do_tuple1(self) -> None:
        self._tuple(1)

    def do_tuple2(self) -> None:
        self._tuple(2)

    def do_tuple3(self) -> None:
        self._tuple(3)

    def _tuple(self, count: int) -> None:
        if len(self.stack) < count:
            raise ValueError("a tuple of more than there is")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def do_list(self) -> None:
        self.stack.append(self._marked())

    def do_dict(self) -> None:
        values = self._marked()
        self.stack.append({_check_key(key): value for key, value in zip(values[::2], values[1::2], strict=True)})

    def do_frozenset(self) -> None:
        self.stack.append(frozenset(map(_check_key, self._marked())))

    def do_append(self) -> None:
        value = self.stack.pop()
        self._top(list).append(value)

    def do_appends(self) -> None:
        values = self._marked()
        self._top(list).extend(values)

    def do_additems(self) -> None:
        values = self._marked()
        self._top(set).update(map(_check_key, values))

    def do_setitem(self) -> None:
        value, key = self.stack.pop(), self.stack.pop()
        self._top(dict)[_check_key(key)] = value

    def do_setitems(self) -> None:
        values = self._marked()
        self._top(dict).update((_check_key(k), value) for k, value in zip(values[::2], values[1::2], strict=True))

    def _top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"elements are added to something that is no {kind.__name__}")
        return self.stack[-1]

    def do_binput(self, place: int) -> None:
        self.memo[place] = self.stack[-1]

    do_long_binput = do_put = do_binput

    def do_memoize(self) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def do_binget(self, place: int) -> None:
        self.stack.append(self.memo[place])

    do_long_binget = do_get = do_binget

    def do_global(self, name: str) -> None:
        module, _, attribute = name.partition(" ")
        self.stack.append(self._name(f"{module}.{attribute}"))

    def do_stack_global(self) -> None:
        attribute, module = self.stack.pop(), self.stack.pop()
        if not isinstance(attribute, str) or not isinstance(module, str):
            raise ValueError("a name that is no text")
        self.stack.append(self._name(f"{module}.{attribute}"))

    def do_binpersid(self) -> None:
        pid = self.stack.pop()
        if not isinstance(pid, tuple) or len(pid) != 5 or pid[0] != "storage" or not isinstance(pid[1], _Kind):
            raise ValueError("a reference that is none to a storage")
        _, kind, key, location, count = pid
        if kind.dtype is None:
            raise _RefusedError("holds tensors of a dtype that flambeau does not have")
        if not isinstance(key, str) or not isinstance(location, str) or type(count) is not int or count < 0:
            raise ValueError("a storage without a name or a size")
        if kind.untyped:
            entry = self.archive.checked(f"{self.archive.folder}data/{key}")
            count = entry.file_size
        self.stack.append(_Storage(key, kind.dtype, count, location))

    def do_reduce(self) -> None:
        given, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, _Known) or not isinstance(given, tuple):
            raise ValueError("something is called that cannot be")
        self.stack.append(function.function(*given))

    def do_newobj(self) -> None:
        self.do_reduce()

    def do_build(self) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, _Array):
            target.value = _array(*state)
        elif isinstance(target, OrderedDict) and isinstance(state, dict):
            if isinstance(state.get("_metadata"), dict):
                target._metadata = state["_metadata"]  # type: ignore[attr-defined]
        elif isinstance(target, _DtypeText) or state in (None, {}, ()):
            pass  # byte order and alignment of a NumPy dtype say nothing new; tensors' attributes are not kept
        elif not hasattr(target, "dtype"):
            raise ValueError(f"a {type(target).__name__} is given a state")

    def do_stop(self) -> None:
        """The end, which `run` handles."""

    def _end(self, value: Any) -> Any:
        """The result with arrays in place of their stand-ins."""
        seen: set[int] = set()
        box = [value]
        waiting: list[Any] = [box]
        while waiting:
            each = waiting.pop()
            if id(each) in seen:
                continue
            seen.add(id(each))
            if isinstance(each, (_Storage, _Kind, _Known, _DtypeText, _Layout)) or each is _MARK:
                raise ValueError("the structure holds a part of a tensor instead of a whole one")
            items: Any = each.items() if isinstance(each, dict) else enumerate(each) if isinstance(each, list) else ()
            for key, item in list(items):
                if isinstance(item, _Array):
                    each[key] = item = item.value
                if isinstance(item, tuple) and any(isinstance(part, _Array) for part in item):
                    each[key] = item = tuple(p.value if isinstance(p, _Array) else p for p in item)
                waiting.append(item)
            if isinstance(each, tuple):
                waiting.extend(each)
        return box[0]


_LITERALS = frozenset(
    {
        "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "STRING", "BINSTRING", "SHORT_BINSTRING",
        "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE",
        "BINUNICODE8", "FLOAT", "BINFLOAT",
    }
)  # fmt: skip


class _Layout(str):
    """A sparse layout, by its name."""


class _DtypeText(str):
    """A NumPy dtype of plain numbers, by its short name."""


def _array_dtype(text: Any, *_: Any) -> _DtypeText:
    if not isinstance(text, str) or text.lstrip("<|=") not in _ARRAYS:
        shown = text[:40] if isinstance(text, str) else type(text).__name__
        raise ValueError(f"a NumPy array of dtype {shown!r}, which is not read")
    return _DtypeText("<" + text.lstrip("<|="))


_ARRAYS = {"f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "b1", "c8", "c16"}


def _array(version: Any, shape: Any, dtype: Any, columns: Any, data: Any) -> Any:
    import numpy

    if not isinstance(dtype, _DtypeText) or not isinstance(data, bytes):
        raise ValueError("a NumPy array without dtype or data")
    flat = numpy.frombuffer(data, dtype).copy()
    return flat.reshape(shape, order="F" if columns is True else "C")


def _check_key(value: Any) -> Any:
    """`value`, if it is small enough for its hash: that of tuples within tuples can take for ever, or a deep stack."""
    count, waiting = 0, [value]
    while waiting:
        each = waiting.pop()
        if isinstance(each, tuple):
            count += len(each) + 1
            if count > LARGEST_KEY:
                raise ValueError("a key of a dictionary, or an element of a set, that has too many parts")
            waiting.extend(each)
    return value


def _few(given: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments of a bytearray, which may be bytes but no size: that would allocate what the file asks for."""
    if given and not isinstance(given[0], (bytes, str)):
        raise ValueError("a bytearray of something else than bytes")
    return given


def _no_call(*_: Any) -> Any:
    raise ValueError("a class is called that only stands for itself")
