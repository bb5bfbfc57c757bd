"""`save` and `load`: tensors and plain Python structures in one safetensors file, without pickle, running no code.

The file is an ordinary safetensors file: every tool that reads those finds the tensors, under the keys of the state
dictionary. The structure around them (dictionaries, lists, numbers, which tensors share memory) is JSON in the file's
metadata. A file is written next to its target and renamed over it, so the target is always either the old file or the
whole new one.
"""

from __future__ import annotations

import json
import os
from collections import Counter, OrderedDict
from typing import Any, BinaryIO

from flambeau import _core, dtypes
from flambeau.devices import device as Device
from flambeau.safe_globals import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from flambeau.utils.memory import bytes_of, empty_with_bytes

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]

Tensor = _core.Tensor

FORMAT = "flambeau"
VERSION = 1
LARGEST_HEADER = 100_000_000  # the limit of the safetensors format

_CODES = {
    "float64": "F64",
    "float32": "F32",
    "float16": "F16",
    "bfloat16": "BF16",
    "int64": "I64",
    "int32": "I32",
    "int16": "I16",
    "int8": "I8",
    "uint8": "U8",
    "bool": "BOOL",
    "uint64": "U64",
    "uint32": "U32",
    "uint16": "U16",
    "complex64": "C64",
}
_DTYPES = {code: getattr(dtypes, name) for name, code in _CODES.items()}
# One key of a JSON object says what stands for what is not JSON; dictionaries are always written as pairs.
_TENSOR, _DICT, _ORDERED, _COUNTER, _TUPLE, _SIZE = "tensor", "dict", "ordered", "counter", "tuple", "size"
_FLOAT, _COMPLEX, _BYTES, _DTYPE, _DEVICE, _ARRAY = "float", "complex", "bytes", "dtype", "device", "array"
_SPARSE = "sparse"


def save(obj: Any, f: Any, *ignored: Any, **options: Any) -> None:
    """Write tensors and plain structures of them to one file.

    Arguments: `obj`, any nesting of dictionaries, lists, tuples, numbers, strings, None and tensors, such as the
    `state_dict()` of a module or an optimizer; `f`, a path or a binary file. Tensors that share memory are written once
    and share it again after loading. Errors: TypeError for anything else, with its place in the structure; OSError when
    the file cannot be written, the file that was there then being untouched.

    Example:
        >>> fl.save(model.state_dict(), "model.safetensors")
    """
    for name in options:
        if name not in (
            "pickle_module",
            "pickle_protocol",
            "_use_new_zipfile_serialization",
            "_disable_byteorder_record",
        ):
            raise TypeError(f"save() got an unexpected keyword argument '{name}'")
    writer = _Writer()
    tree = writer.encode(obj, "")
    header, parts = writer.finish(tree)
    if hasattr(f, "write"):
        f.write(header)
        for part in parts:
            f.write(part)
        return
    _write_whole(os.fspath(f), header, parts)


def load(f: Any, map_location: Any = None, pickle_module: Any = None, **options: Any) -> Any:
    """Read what `save` wrote, any safetensors file (as a dictionary of tensors), or a file of `torch.save`.

    Arguments: `f`, a path or a binary file; `map_location`, the device for all tensors, or a dictionary from saved
    devices to others; `weights_only`, `mmap` and `pickle_module` are accepted: no code of the file ever runs. Errors:
    ValueError for a file that is damaged, cut short or of another kind, or that holds other objects than tensors and
    plain containers; FileNotFoundError.

    Example:
        >>> model.load_state_dict(fl.load("model.safetensors"))
    """
    for name in options:
        if name not in ("weights_only", "mmap", "encoding"):
            raise TypeError(f"load() got an unexpected keyword argument '{name}'")
    if hasattr(f, "read"):
        return _read(f, getattr(f, "name", "the file"), map_location)
    path = os.fspath(f)
    with open(path, "rb") as file:
        return _read(file, path, map_location)


# -- writing ----------------------------------------------------------------------------------------------------------


class _Span:
    """Memory that is written as one entry: one tensor's elements, or bytes that several overlapping tensors share."""

    __slots__ = ("end", "members", "name", "start")

    def __init__(self, start: int, end: int) -> None:
        self.start = start
        self.end = end
        self.members: list[_Reference] = []
        self.name = ""


class _Reference:
    """A place in the structure that holds a tensor."""

    __slots__ = ("node", "path", "tensor")

    def __init__(self, tensor: Any, path: str, node: dict) -> None:
        self.tensor = tensor
        self.path = path
        self.node = node


class _Writer:
    """Turns a structure into its JSON tree and the list of entries."""

    def __init__(self) -> None:
        self.references: list[_Reference] = []
        self.open: set[int] = set()

    def encode(self, value: Any, path: str) -> Any:
        if value is None or value is True or value is False:
            return value
        kind = type(value)
        if kind is int or kind is str:
            return value
        if kind is float:
            return value if value - value == 0.0 else {_FLOAT: repr(value)}
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if isinstance(value, (dict, list, tuple)):
            if id(value) in self.open:
                raise ValueError(f"save: the structure contains itself at {_place(path)}; a file can hold only trees")
            self.open.add(id(value))
            try:
                return self._container(value, path)
            except RecursionError:
                raise ValueError(f"save: the structure is nested too deeply at {_place(path[:80])}") from None
            finally:
                self.open.discard(id(value))
        return self._other(value, path)

    def _container(self, value: Any, path: str) -> Any:
        if isinstance(value, dict):
            pairs = [
                [self.encode(key, path), self.encode(each, f"{path}.{key}" if path else str(key))]
                for key, each in value.items()
            ]
            if isinstance(value, OrderedDict):
                metadata = getattr(value, "_metadata", None)
                if metadata is None:
                    return {_ORDERED: pairs}
                return {_ORDERED: pairs, "metadata": self.encode(metadata, path)}
            return {_COUNTER if isinstance(value, Counter) else _DICT: pairs}
        items = [self.encode(each, f"{path}.{i}" if path else str(i)) for i, each in enumerate(value)]
        if isinstance(value, dtypes.Size):
            return {_SIZE: items}
        return {_TUPLE: items} if isinstance(value, tuple) else items

    def _other(self, value: Any, path: str) -> Any:
        if isinstance(value, dtypes.dtype):
            return {_DTYPE: value.name}
        if isinstance(value, Device):
            return {_DEVICE: str(value)}
        if isinstance(value, complex):
            return {_COMPLEX: [self.encode(value.real, path), self.encode(value.imag, path)]}
        if isinstance(value, (bytes, bytearray)):
            import base64

            return {_BYTES: base64.b64encode(value).decode("ascii")}
        kind = type(value)
        if kind.__module__ == "numpy":
            import flambeau

            if hasattr(value, "ndim") and hasattr(value, "item"):
                if value.ndim == 0:
                    return self.encode(value.item(), path)
                return {_ARRAY: self._tensor(flambeau.as_tensor(value), path)}
        # Subclasses of numbers and strings (enumerations, NumPy's float64) keep their value.
        for plain in (bool, int, float, str):
            if isinstance(value, plain):
                return self.encode(plain(value), path)
        hint = (
            "save its state_dict() instead" if hasattr(value, "state_dict") else "save the tensors and numbers it holds"
        )
        raise TypeError(
            f"save: {kind.__module__}.{kind.__qualname__} at {_place(path)} cannot be saved: a file holds "
            f"dictionaries, lists, tuples, numbers, strings, None and tensors; {hint}"
        )

    def _sparse(self, tensor: Any, path: str) -> dict:
        """The parts of a sparse tensor, each an entry of its own."""
        by_place = tensor.layout == "sparse_coo"
        index = [tensor._indices()] if by_place else [tensor.crow_indices(), tensor.col_indices()]
        parts = [self._tensor(part, f"{path}.{i}") for i, part in enumerate([*index, tensor._values()])]
        options = [list(tensor.shape), tensor.layout.name, tensor._coalesced, tensor.requires_grad]
        return {_SPARSE: parts, "options": options}

    def _tensor(self, tensor: Any, path: str) -> dict:
        if tensor.layout != "strided":
            return self._sparse(tensor, path)
        node: dict[str, Any] = {_TENSOR: ""}
        if tensor.requires_grad:
            node["grad"] = True
        if type(tensor) is not Tensor:
            from flambeau.nn.parameter import Parameter

            if isinstance(tensor, Parameter):
                node["parameter"] = True
        if str(tensor.device) != "cpu":
            node["device"] = str(tensor.device)
        self.references.append(_Reference(tensor.detach(), path, node))
        return node

    def finish(self, tree: Any) -> tuple[bytes, list]:
        """The file's header and the memory behind it, entry by entry."""
        import zlib

        spans = self._spans()
        names: set[str] = set()
        entries = []
        for span in spans:
            first = span.members[0]
            name = first.path or "tensor"
            while name in names or name == "__metadata__":
                name += "_"
            names.add(name)
            span.name = name
            tensor = first.tensor if _alike(span) else _bytes_of(span)
            for member in span.members:
                member.node[_TENSOR] = name
                if not _alike(span) or tensor.dtype is dtypes.complex128:  # the format has no such dtype
                    member.node["view"] = [
                        member.tensor.dtype.name,
                        _address(member.tensor) - span.start,
                        list(member.tensor.shape),
                        list(member.tensor.stride()),
                    ]
            tensor = tensor.detach().cpu().contiguous()
            entries.append((name, _core.view_as_real(tensor) if tensor.dtype is dtypes.complex128 else tensor))
        # Wide elements first: then every entry begins at a multiple of its element's size.
        entries.sort(key=lambda entry: -entry[1].dtype.itemsize)
        header: dict[str, Any] = {}
        parts, position = [], 0
        for name, tensor in entries:
            part = bytes_of(tensor)
            header[name] = {
                "dtype": _CODES[tensor.dtype.name],
                "shape": list(tensor.shape),
                "data_offsets": [position, position + len(part)],
            }
            parts.append(part)
            position += len(part)
        check = _check_of(header)
        for part in parts:
            check = zlib.crc32(part, check)
        text = json.dumps(tree, allow_nan=False, separators=(",", ":"))
        metadata = {
            "format": FORMAT,
            "version": str(VERSION),
            "tree": text,
            "check": f"{zlib.crc32(text.encode()):08x}{check:08x}",
        }
        encoded = json.dumps({"__metadata__": metadata, **header}, separators=(",", ":")).encode()
        encoded += b" " * (-len(encoded) % 8)
        if len(encoded) > LARGEST_HEADER:
            raise ValueError(
                f"save: the structure without its tensors takes {len(encoded)} bytes, and a safetensors header holds "
                f"at most {LARGEST_HEADER}; put long lists of numbers into tensors"
            )
        return len(encoded).to_bytes(8, "little") + encoded, parts

    def _spans(self) -> list[_Span]:
        """Which tensors are written together: those whose memory overlaps."""
        by_storage: dict[Any, list[_Reference]] = {}
        alone: list[_Span] = []
        for reference in self.references:
            if reference.tensor.numel() == 0:
                span = _Span(0, 0)
                span.members.append(reference)
                alone.append(span)
            else:
                by_storage.setdefault(_core.storage_key(reference.tensor)[0], []).append(reference)
        spans = alone
        for references in by_storage.values():
            found: list[_Span] = []
            for reference in sorted(references, key=lambda r: _address(r.tensor)):
                start = _address(reference.tensor)
                end = start + _extent(reference.tensor)
                if found and start < found[-1].end:
                    found[-1].end = max(found[-1].end, end)
                else:
                    found.append(_Span(start, end))
                found[-1].members.append(reference)
            spans += found
        order = {id(reference): position for position, reference in enumerate(self.references)}
        for span in spans:
            span.members.sort(key=lambda r: order[id(r)])
        spans.sort(key=lambda span: order[id(span.members[0])])
        return spans


def _check_of(header: dict) -> int:
    """The checksum of what the header says about the tensors, from which that of the data goes on."""
    import zlib

    return zlib.crc32(json.dumps(header, sort_keys=True).encode())


def _place(path: str) -> str:
    return f"'{path}'" if path else "the top"


def _address(tensor: Any) -> int:
    return tensor.data_ptr()


def _extent(tensor: Any) -> int:
    """The bytes from a tensor's first element to behind its last one."""
    last = sum((size - 1) * stride for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return (last + 1) * tensor.dtype.itemsize


def _alike(span: _Span) -> bool:
    """Whether all tensors of a span are the same elements in the same order."""
    first = span.members[0].tensor
    return len(span.members) == 1 or all(
        (other.tensor.dtype, _address(other.tensor)) == (first.dtype, _address(first))
        and tuple(other.tensor.shape) == tuple(first.shape)
        and tuple(other.tensor.stride()) == tuple(first.stride())
        for other in span.members[1:]
    )


def _bytes_of(span: _Span) -> Any:
    """The whole memory of a span as a vector, of its tensors' dtype where they have one, else of bytes."""
    kinds = {member.tensor.dtype for member in span.members}
    first = min((member.tensor for member in span.members), key=_address)
    size = first.dtype.itemsize
    vector = first.as_strided(((span.end - span.start) // size,), (1,), first.storage_offset())
    return vector if len(kinds) == 1 else vector.view(dtypes.uint8)


def _write_whole(path: str, header: bytes, parts: list) -> None:
    """Write a file next to its target and rename it, so that the target is never half a file."""
    path = os.path.realpath(path)
    if os.path.exists(path) and not os.path.isfile(path):
        if os.path.isdir(path):
            raise IsADirectoryError(f"save: {path} is a folder; give a file name")
        with open(path, "wb") as file:  # a device or a pipe cannot be replaced
            file.write(header)
            for part in parts:
                file.write(part)
        return
    folder, name = os.path.split(path)
    temporary = os.path.join(folder, f".{name}.{os.getpid()}.{os.urandom(4).hex()}.part")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    try:
        with open(descriptor, "wb") as file:
            file.write(header)
            for part in parts:
                file.write(part)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        try:
            os.unlink(temporary)
        except OSError:
            pass
        raise
    try:
        # The new name must reach the disk too.
        directory = os.open(folder or ".", os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(directory)
    except OSError:
        pass
    finally:
        os.close(directory)


# -- reading ----------------------------------------------------------------------------------------------------------


def _damaged(name: Any, what: str) -> ValueError:
    return ValueError(f"load: {name} is damaged or not a file of tensors: {what}")


def _read(file: BinaryIO, name: Any, map_location: Any) -> Any:
    start = file.read(8)
    if start[:4] == b"PK\x03\x04":
        from flambeau import pytorch_file

        if not hasattr(file, "seek"):
            raise ValueError(f"load: {name} is a zip archive and cannot be read from a stream; give its path")
        return pytorch_file.read(file, name, lambda tensor, place: _moved(tensor, place, map_location))
    if start[:1] == b"\x80":
        raise ValueError(
            f"load: {name} is a bare pickle, such as torch.save wrote before PyTorch 1.6; unpickling it would run code "
            "from the file. Save it again with a newer PyTorch, or as safetensors"
        )
    if len(start) < 8:
        raise _damaged(name, f"it has only {len(start)} bytes")
    size = int.from_bytes(start, "little")
    if size > LARGEST_HEADER or size < 2:
        raise _damaged(name, f"its header would have {size} bytes; a safetensors file begins with the header's length")
    text = file.read(size)
    if len(text) < size:
        raise _damaged(name, f"its header has {size} bytes, of which only {len(text)} are there; it was cut short")
    try:
        header = json.loads(text)
        metadata = header.pop("__metadata__", None) or {}
        entries = sorted(((key, _Entry(key, entry)) for key, entry in header.items()), key=lambda pair: pair[1].start)
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise _damaged(name, f"its header cannot be read ({str(error)[:200]})") from None
    tree, expected = _structure(name, metadata)
    tensors = _read_entries(file, name, entries, expected, _check_of(header))
    if tree is None:
        return {key: _moved(tensor, None, map_location) for key, tensor in sorted(tensors.items())}
    try:
        return _Reader(tensors, map_location).decode(tree)
    except (LookupError, TypeError, AttributeError, ValueError, RuntimeError, OverflowError, StopIteration) as error:
        if str(error).startswith("load: "):  # a device that is not there: the file is whole
            raise
        raise _damaged(name, f"its structure cannot be read ({type(error).__name__}: {str(error)[:200]})") from None


class _Entry:
    """One tensor of the header: its dtype, sizes and place; ValueError when they contradict one another."""

    __slots__ = ("dtype", "end", "shape", "start")

    def __init__(self, key: str, entry: dict) -> None:
        code = entry["dtype"]
        if code not in _DTYPES:
            raise ValueError(f"{key!r} has dtype {code}, which flambeau does not have")
        self.dtype = _DTYPES[code]
        self.shape = tuple(entry["shape"])
        self.start, self.end = entry["data_offsets"]
        count = self.dtype.itemsize
        for number in (*self.shape, self.start, self.end):
            if not isinstance(number, int) or isinstance(number, bool) or number < 0:
                raise ValueError(f"{key!r} has a size or place that is no whole number")
        for length in self.shape:
            count *= length
        if self.end - self.start != count:
            raise ValueError(
                f"{key!r} of shape {self.shape} needs {count} bytes, but {self.end - self.start} are given"
            )


def _structure(name: Any, metadata: dict) -> tuple[Any, int | None]:
    """The JSON tree and the checksum of the data; None for files of other programs."""
    import zlib

    if not isinstance(metadata, dict):
        raise _damaged(name, "its metadata is no dictionary")
    if metadata.get("format") != FORMAT and "tree" not in metadata and "check" not in metadata:
        return None, None
    try:
        version, text, check = int(metadata["version"]), metadata["tree"], metadata["check"]
        if version > VERSION:
            raise ValueError(
                f"load: {name} was written by a newer flambeau (format {version}); update flambeau to read it"
            )
        if zlib.crc32(text.encode()) != int(check[:8], 16):
            raise _damaged(name, "its structure does not match its checksum")
        return [json.loads(text)], int(check[8:], 16)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        if str(error).startswith("load: "):
            raise
        raise _damaged(name, f"its structure cannot be read ({error})") from None


def _read_entries(file: BinaryIO, name: Any, entries: list, expected: int | None, check: int) -> dict[str, Any]:
    """The tensors of all entries, read one behind the other."""
    import zlib

    position = 0
    for key, entry in entries:
        if entry.start != position:
            raise _damaged(
                name, f"{key!r} begins at byte {entry.start} of the data, but the entry before ends at {position}"
            )
        position = entry.end
    available = _remaining(file)
    if available is not None and available != position:
        found = "it was cut short" if available < position else "something follows them"
        raise _damaged(name, f"its tensors take {position} bytes, but {available} are there; {found}")
    tensors = {}
    for key, entry in entries:
        tensor, memory = empty_with_bytes(entry.shape, entry.dtype)
        if entry.end > entry.start:
            done = 0
            while done < len(memory):
                count = file.readinto(memory[done:]) if hasattr(file, "readinto") else _read_into(file, memory[done:])
                if not count:
                    raise _damaged(name, f"it ends within {key!r}; it was cut short")
                done += count
            check = zlib.crc32(memory, check)
        tensors[key] = tensor
    if expected is not None and check != expected:
        raise _damaged(name, "its tensors do not match their checksum; some bytes have changed since it was written")
    return tensors


def _read_into(file: BinaryIO, memory: memoryview) -> int:
    found = file.read(len(memory))
    memory[: len(found)] = found
    return len(found)


def _remaining(file: BinaryIO) -> int | None:
    """The bytes from here to the end; None where that cannot be known."""
    try:
        here = file.tell()
        end = file.seek(0, os.SEEK_END)
        file.seek(here)
    except (OSError, AttributeError, ValueError):
        return None
    return end - here


class _Reader:
    """Builds the structure of a tree again."""

    def __init__(self, tensors: dict[str, Any], map_location: Any) -> None:
        self.tensors = tensors
        self.map_location = map_location
        self.moved: dict[tuple, Any] = {}

    def decode(self, tree: list) -> Any:
        return self._value(tree[0])

    def _value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [self._value(each) for each in node]
        if not isinstance(node, dict):
            return node
        if _TENSOR in node:
            return self._tensor(node)
        if _DICT in node:
            return {self._value(key): self._value(value) for key, value in node[_DICT]}
        if _ORDERED in node:
            result: Any = OrderedDict((self._value(key), self._value(value)) for key, value in node[_ORDERED])
            if "metadata" in node:
                result._metadata = self._value(node["metadata"])
            return result
        if _COUNTER in node:
            return Counter({self._value(key): self._value(value) for key, value in node[_COUNTER]})
        if _TUPLE in node:
            return tuple(self._value(each) for each in node[_TUPLE])
        if _SIZE in node:
            return dtypes.Size(node[_SIZE])
        if _FLOAT in node:
            return float(node[_FLOAT])
        if _COMPLEX in node:
            real, imaginary = node[_COMPLEX]
            return complex(self._value(real), self._value(imaginary))
        if _BYTES in node:
            import base64

            return base64.b64decode(node[_BYTES])
        if _DTYPE in node:
            return next(kind for kind in _DTYPES.values() if kind.name == node[_DTYPE])
        if _DEVICE in node:
            return Device(node[_DEVICE])
        if _ARRAY in node:
            return self._tensor(node[_ARRAY]).numpy()
        if _SPARSE in node:
            return self._sparse(node)
        raise KeyError(f"unknown kind {next(iter(node), None)!r}")

    def _sparse(self, node: dict) -> Any:
        from flambeau.sparse import sparse_coo_tensor, sparse_csr_tensor

        size, layout, coalesced, grad = node["options"]
        parts = [self._tensor(part) for part in node[_SPARSE]]
        if layout == "sparse_coo":
            return sparse_coo_tensor(parts[0], parts[1], size, is_coalesced=coalesced is True, requires_grad=bool(grad))
        return sparse_csr_tensor(parts[0], parts[1], parts[2], size, requires_grad=bool(grad))

    def _tensor(self, node: dict) -> Any:
        name, place = node[_TENSOR], node.get("device")
        base = self.moved.get((name, place))
        if base is None:
            base = self.moved[name, place] = _moved(self.tensors[name], place, self.map_location)
        if "view" in node:
            kind, offset, shape, strides = node["view"]
            kind = dtypes.BY_NAME.get(kind)
            if kind is None:
                raise ValueError(f"{name!r} is seen as dtype {node['view'][0]!r}, which flambeau does not have")
            if base.dtype is not kind:
                base = base.view(kind)
            result = base.as_strided(tuple(shape), tuple(strides), offset // kind.itemsize)
        else:
            result = base.detach()  # tied tensors share memory, but are objects of their own
        if node.get("parameter"):
            from flambeau.nn.parameter import Parameter

            return Parameter(result, requires_grad=bool(node.get("grad")))
        return result.requires_grad_() if node.get("grad") else result


def _moved(tensor: Any, place: str | None, map_location: Any) -> Any:
    """A tensor that was read, on the device it is wanted on."""
    place = place or "cpu"
    if map_location is None:
        target: Any = place
    elif isinstance(map_location, dict):
        target = map_location.get(place, place)
    elif callable(map_location):
        result = map_location(tensor, place)
        return tensor if result is None else result
    else:
        target = map_location
    if str(target) == "cpu":
        return tensor
    try:
        return tensor.to(target)
    except RuntimeError as error:
        raise RuntimeError(
            f"load: a tensor was saved on, or is wanted on, {target}, which is not there ({error}); pass "
            "map_location='cpu'"
        ) from None
