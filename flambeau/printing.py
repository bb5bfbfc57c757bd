"""The text of a tensor, as PyTorch writes it, and the options of that text. It reads tensors and changes none."""

from __future__ import annotations

from typing import Any

__all__ = ["get_printoptions", "printoptions", "set_printoptions", "tensor_text"]

_DEFAULT: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}
_SHORT: dict[str, Any] = {"precision": 2, "threshold": 1000, "edgeitems": 2, "linewidth": 80}
_FULL: dict[str, Any] = {"precision": 4, "threshold": float("inf"), "edgeitems": 3, "linewidth": 80}
_options: dict[str, Any] = dict(_DEFAULT)


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are written from now on.

    precision  digits behind the point (4)      threshold  more elements than this are summarised (1000)
    edgeitems  shown at each end then (3)       linewidth  characters a line (80)
    profile    "default", "short" or "full"     sci_mode   scientific notation: True, False, None for as needed
    """
    if profile is not None:
        profiles = {"default": _DEFAULT, "short": _SHORT, "full": _FULL}
        if profile not in profiles:
            raise ValueError(f"set_printoptions: profile must be one of {', '.join(profiles)}, got {profile!r}")
        _options.update(profiles[profile])
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({name: value for name, value in given.items() if value is not None})
    _options["sci_mode"] = sci_mode


def get_printoptions() -> dict[str, Any]:
    """A copy of the options that `set_printoptions` sets."""
    return dict(_options)


class printoptions:  # noqa: N801
    """A block in which tensors are written with other options: `with fl.printoptions(precision=2): print(x)`."""

    def __init__(self, **options: Any) -> None:
        self._wanted = options
        self._before: dict[str, Any] = {}

    def __enter__(self) -> None:
        self._before = dict(_options)
        set_printoptions(**self._wanted)

    def __exit__(self, *exception: object) -> None:
        _options.update(self._before)


class _Format:
    """How one number of a tensor is written: all numbers of it get the same width and notation."""

    def __init__(self, values: list[Any], floating: bool) -> None:
        self.floating = floating
        self.width = 1
        self.whole = True
        self.scientific = False
        if not floating:
            self.width = max([len(str(value)) for value in values], default=1)
            return
        present = [value for value in values if value == value and abs(value) != float("inf") and value != 0]
        if not present:  # infinities, NaN and zeros only: written as they are
            return
        precision, asked = _options["precision"], _options["sci_mode"]
        sizes = [abs(value) for value in present]
        largest, smallest = max(sizes), min(sizes)
        ratio = float("inf") if smallest == 0 else largest / smallest
        self.whole = all(value == int(value) for value in present)
        if self.whole:
            self.scientific = ratio > 1000.0 or largest > 1.0e8
        else:
            self.scientific = ratio > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4
        if asked is not None:
            self.scientific = asked
        self.precision = precision
        self.width = max(len(self.write(value, pad=False)) for value in present)  # as PyTorch: the others may stick out

    def write(self, value: Any, pad: bool = True) -> str:
        if self.floating:
            if self.scientific:
                text = f"{value:.{_options['precision']}e}"
            elif self.whole:
                text = f"{value:.0f}"
                if value == value and abs(value) != float("inf"):
                    text += "."
            else:
                text = f"{value:.{_options['precision']}f}"
        else:
            text = str(value)
        return text.rjust(self.width) if pad else text


class _ComplexFormat:
    """How one complex number is written: each part as the numbers of that part are."""

    def __init__(self, values: list[complex]) -> None:
        self.parts = _Format([value.real for value in values], True), _Format([value.imag for value in values], True)
        self.width = self.parts[0].width + self.parts[1].width + 1

    def write(self, value: complex) -> str:
        imaginary = (self.parts[1].write(value.imag) + "j").lstrip()
        return self.parts[0].write(value.real) + ("" if imaginary[0] in "+-" else "+") + imaginary


def _summarised(tensor: Any) -> Any:
    """The parts that are shown: a nested list where None stands for what is left out."""
    edge = _options["edgeitems"]

    def corner(t: Any) -> Any:
        if t.ndim == 0:
            return t.item()
        n = t.shape[0]
        if n > 2 * edge:
            ends = (*range(edge), None, *range(n - edge, n)) if edge else (None,)
            return [None if i is None else corner(t.select(0, i)) for i in ends]
        return [corner(t.select(0, i)) for i in range(n)]

    return corner(tensor)


def _flat(nested: Any) -> list[Any]:
    if isinstance(nested, list):
        return [value for inner in nested for value in _flat(inner)]
    return [] if nested is None else [nested]


def _vector(values: list[Any], form: Any, indent: int) -> str:
    per_line = max(1, (_options["linewidth"] - indent) // (form.width + 2))
    words = [" ..." if value is None else form.write(value) for value in values]
    lines = [words[i : i + per_line] for i in range(0, len(words), per_line)] or [[]]
    return "[" + (",\n" + " " * (indent + 1)).join(", ".join(line) for line in lines) + "]"


def _nested(values: Any, ndim: int, form: Any, indent: int) -> str:
    if ndim == 0:
        return form.write(values)
    if ndim == 1:
        return _vector(values, form, indent)
    parts = ["..." if value is None else _nested(value, ndim - 1, form, indent + 1) for value in values]
    return "[" + ("," + "\n" * (ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def tensor_text(tensor: Any) -> str:
    """What `repr(tensor)` gives: `tensor([1., 2.])`, with the dtype where it is not the expected one."""
    from flambeau import dtypes

    prefix = type(tensor).__name__ if type(tensor).__name__ == "Parameter" else "tensor"
    if prefix == "Parameter":
        return f"Parameter containing:\n{_text(tensor, 'tensor', dtypes)}"
    return _text(tensor, prefix, dtypes)


def _text(tensor: Any, prefix: str, dtypes: Any) -> str:
    indent = len(prefix) + 1
    dtype, ndim, shape = tensor.dtype, tensor.ndim, tuple(tensor.shape)
    suffixes = []
    if tensor.device.type != "cpu":
        suffixes.append(f"device='{tensor.device}'")
    default = dtypes.get_default_dtype()
    expected = (
        default,
        dtypes.complex128 if default is dtypes.float64 else dtypes.complex64,
        dtypes.int64,
        dtypes.bool,
    )
    if tensor.numel() == 0:
        if ndim != 1:
            suffixes.append(f"size={shape}")
        if dtype is not dtypes.get_default_dtype():
            suffixes.append(f"dtype={dtype}")
        body = "[]"
    else:
        if dtype not in expected:
            suffixes.append(f"dtype={dtype}")
        plain = tensor.detach()
        values = _summarised(plain) if plain.numel() > _options["threshold"] else plain.tolist()
        form: Any = (
            _ComplexFormat(_flat(values)) if dtype.is_complex else _Format(_flat(values), dtype.is_floating_point)
        )
        if ndim == 0 and not dtype.is_complex:
            form.width = 1
        body = _nested(values, ndim, form, indent)
        if ndim == 0:
            body = body.strip()
    if tensor.grad_fn is not None:
        name = getattr(tensor.grad_fn, "name", None)
        name = name() if callable(name) else type(tensor.grad_fn).__name__
        suffixes.append(f"grad_fn=<{name}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(f"{prefix}({body}", suffixes, indent)


def _with_suffixes(text: str, suffixes: list[str], indent: int, new_line: bool = False) -> str:
    """The text and what follows it: a suffix that does not fit the last line, or the first one, begins a new line."""
    last = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        # Lines break where PyTorch's do: "flambeau." counts as "torch.", three letters less.
        length = len(suffix) - (3 if "=flambeau." in suffix else 0)
        if new_line or last + length + 2 > _options["linewidth"]:
            text += ",\n" + " " * indent + suffix
            last, new_line = indent + length, False
        else:
            text += ", " + suffix
            last += length + 2
    return text + ")"
