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
from flambeau.tensor_file import DTYPES, FORMAT, LARGEST_HEADER, VERSION, Key, check_of
from flambeau.utils.memory import empty_with_bytes

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]

Tensor = _core.Tensor


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
    from flambeau.tensor_writer import Writer, write_whole

    writer = Writer()
    tree = writer.encode(obj, "")
    header, parts = writer.finish(tree)
    if hasattr(f, "write"):
        f.write(header)
        for part in parts:
            f.write(part)
        return
    write_whole(os.fspath(f), header, parts)


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
    tensors = _read_entries(file, name, entries, expected, check_of(header))
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
        if code not in DTYPES:
            raise ValueError(f"{key!r} has dtype {code}, which flambeau does not have")
        self.dtype = DTYPES[code]
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
        if Key.TENSOR in node:
            return self._tensor(node)
        if Key.DICT in node:
            return {self._value(key): self._value(value) for key, value in node[Key.DICT]}
        if Key.ORDERED in node:
            result: Any = OrderedDict((self._value(key), self._value(value)) for key, value in node[Key.ORDERED])
            if "metadata" in node:
                result._metadata = self._value(node["metadata"])
            return result
        if Key.COUNTER in node:
            return Counter({self._value(key): self._value(value) for key, value in node[Key.COUNTER]})
        if Key.TUPLE in node:
            return tuple(self._value(each) for each in node[Key.TUPLE])
        if Key.SIZE in node:
            return dtypes.Size(node[Key.SIZE])
        if Key.FLOAT in node:
            return float(node[Key.FLOAT])
        if Key.COMPLEX in node:
            real, imaginary = node[Key.COMPLEX]
            return complex(self._value(real), self._value(imaginary))
        if Key.BYTES in node:
            import base64

            return base64.b64decode(node[Key.BYTES])
        if Key.DTYPE in node:
            return next(kind for kind in DTYPES.values() if kind.name == node[Key.DTYPE])
        if Key.DEVICE in node:
            return Device(node[Key.DEVICE])
        if Key.ARRAY in node:
            return self._tensor(node[Key.ARRAY]).numpy()
        if Key.SPARSE in node:
            return self._sparse(node)
        raise KeyError(f"unknown kind {next(iter(node), None)!r}")

    def _sparse(self, node: dict) -> Any:
        from flambeau.sparse import sparse_coo_tensor, sparse_csr_tensor

        size, layout, coalesced, grad = node["options"]
        parts = [self._tensor(part) for part in node[Key.SPARSE]]
        if layout == "sparse_coo":
            return sparse_coo_tensor(parts[0], parts[1], size, is_coalesced=coalesced is True, requires_grad=bool(grad))
        return sparse_csr_tensor(parts[0], parts[1], parts[2], size, requires_grad=bool(grad))

    def _tensor(self, node: dict) -> Any:
        name, place = node[Key.TENSOR], node.get("device")
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
