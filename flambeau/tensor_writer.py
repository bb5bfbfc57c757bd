"""Writing the files of `save`: a structure becomes a JSON tree and a list of entries, one for memory that is shared."""

from __future__ import annotations

import json
import os
from collections import Counter, OrderedDict
from typing import Any

from flambeau import _core, dtypes
from flambeau.devices import device as Device
from flambeau.tensor_file import CODES, FORMAT, LARGEST_HEADER, VERSION, Key, check_of
from flambeau.utils.memory import bytes_of

Tensor = _core.Tensor


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


class Writer:
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
            return value if value - value == 0.0 else {Key.FLOAT: repr(value)}
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
                    return {Key.ORDERED: pairs}
                return {Key.ORDERED: pairs, "metadata": self.encode(metadata, path)}
            return {Key.COUNTER if isinstance(value, Counter) else Key.DICT: pairs}
        items = [self.encode(each, f"{path}.{i}" if path else str(i)) for i, each in enumerate(value)]
        if isinstance(value, dtypes.Size):
            return {Key.SIZE: items}
        return {Key.TUPLE: items} if isinstance(value, tuple) else items

    def _other(self, value: Any, path: str) -> Any:
        if isinstance(value, dtypes.dtype):
            return {Key.DTYPE: value.name}
        if isinstance(value, Device):
            return {Key.DEVICE: str(value)}
        if isinstance(value, complex):
            return {Key.COMPLEX: [self.encode(value.real, path), self.encode(value.imag, path)]}
        if isinstance(value, (bytes, bytearray)):
            import base64

            return {Key.BYTES: base64.b64encode(value).decode("ascii")}
        kind = type(value)
        if kind.__module__ == "numpy":
            import flambeau

            if hasattr(value, "ndim") and hasattr(value, "item"):
                if value.ndim == 0:
                    return self.encode(value.item(), path)
                return {Key.ARRAY: self._tensor(flambeau.as_tensor(value), path)}
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
        return {Key.SPARSE: parts, "options": options}

    def _tensor(self, tensor: Any, path: str) -> dict:
        if tensor.layout != "strided":
            return self._sparse(tensor, path)
        node: dict[str, Any] = {Key.TENSOR: ""}
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
                member.node[Key.TENSOR] = name
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
                "dtype": CODES[tensor.dtype.name],
                "shape": list(tensor.shape),
                "data_offsets": [position, position + len(part)],
            }
            parts.append(part)
            position += len(part)
        check = check_of(header)
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


def write_whole(path: str, header: bytes, parts: list) -> None:
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
