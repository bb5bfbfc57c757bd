"""Type stubs of what is made from tables: the namespace `flambeau`, its `special`, and the methods of `Tensor`.

    python -m flambeau.stubs            write flambeau/__init__.pyi, _methods.pyi and special.pyi
    python -m flambeau.stubs --check    exit with 1 where they are not what would be written

Operations become methods and functions in loops, which static checkers do not follow; the stubs say the same in a form
that they read. Everything that has annotations of its own (`nn`, `optim`, `linalg` and so on) needs no stub.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

HEADER = '"""{}\n\nWritten by `python -m flambeau.stubs`; changes here are lost.\n"""\n\n'

#: Named results: the fields of the tuple that a function returns.
NAMED = {
    "aminmax": ("min", "max"), "cholesky_ex": ("L", "info"), "cummax": ("values", "indices"),
    "cummin": ("values", "indices"), "frexp": ("mantissa", "exponent"), "histogram": ("hist", "bin_edges"),
    "kthvalue": ("values", "indices"), "max": ("values", "indices"), "median": ("values", "indices"),
    "min": ("values", "indices"), "mode": ("values", "indices"), "nanmedian": ("values", "indices"),
    "qr": ("Q", "R"), "slogdet": ("sign", "logabsdet"), "sort": ("values", "indices"), "svd": ("U", "S", "V"),
    "topk": ("values", "indices"), "triangular_solve": ("solution", "cloned_coefficient"),
}  # fmt: skip
#: Functions that return a tensor or, with a dimension, a named result.
WITH_DIM = ("max", "median", "min", "nanmedian")
#: What the others return, where it is neither a tensor nor annotated.
RETURNS = {
    "apply_": "Tensor", "atleast_1d": "Any", "atleast_2d": "Any", "atleast_3d": "Any", "backward": "None",
    "broadcast_shapes": "Size", "broadcast_tensors": "tuple[Tensor, ...]", "chunk": "tuple[Tensor, ...]",
    "data_ptr": "builtins.int", "dim": "builtins.int", "dsplit": "tuple[Tensor, ...]", "element_size": "builtins.int",
    "hsplit": "tuple[Tensor, ...]", "is_complex": "builtins.bool", "is_contiguous": "builtins.bool",
    "is_floating_point": "builtins.bool",
    "is_inference": "builtins.bool", "is_set_to": "builtins.bool", "is_signed": "builtins.bool", "item": "Any",
    "meshgrid": "tuple[Tensor, ...]", "ndimension": "builtins.int", "nelement": "builtins.int", "nonzero": "Any",
    "numel": "builtins.int", "numpy": "Any", "register_hook": "Any", "register_post_accumulate_grad_hook": "Any",
    "result_type": "DType", "retain_grad": "None", "size": "Any", "split": "tuple[Tensor, ...]",
    "split_with_sizes": "tuple[Tensor, ...]", "std_mean": "tuple[Tensor, Tensor]", "storage_offset": "builtins.int",
    "stride": "Any", "summary": "Any", "tensor_split": "tuple[Tensor, ...]", "tolist": "Any", "type": "Any",
    "unbind": "tuple[Tensor, ...]", "unique": "Any", "unique_consecutive": "Any", "unravel_index": "tuple[Tensor, ...]",
    "unsafe_chunk": "tuple[Tensor, ...]", "unsafe_split": "tuple[Tensor, ...]", "var_mean": "tuple[Tensor, Tensor]",
    "vsplit": "tuple[Tensor, ...]",
}  # fmt: skip
#: Properties of a tensor; those that are not named here are tensors.
PROPERTIES = {
    "device": "Device", "dtype": "DType", "grad": "Tensor | None", "grad_fn": "Any", "itemsize": "builtins.int",
    "layout": "Layout", "names": "Any", "nbytes": "builtins.int", "ndim": "builtins.int",
    "output_nr": "builtins.int", "requires_grad": "builtins.bool", "retains_grad": "builtins.bool", "shape": "Size",
    "_base": "Tensor | None", "_version": "builtins.int",
}  # fmt: skip
SETTABLE = ("data", "grad", "imag", "names", "real", "requires_grad", "retains_grad")
#: Functions of the core that Python's signatures do not reach.
BUILTINS = {
    "get_num_threads": "def get_num_threads() -> builtins.int: ...",
    "set_num_threads": "def set_num_threads(count: builtins.int) -> None: ...",
    "is_grad_enabled": "def is_grad_enabled() -> builtins.bool: ...",
    "is_inference_mode_enabled": "def is_inference_mode_enabled() -> builtins.bool: ...",
    "matmul": "def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor: ...",
}
#: Annotations as sources write them, and as stubs must, where `int` and `bool` are dtypes or methods.
WORDS = {
    "Any": "Any", "Callable": "Callable", "Iterator": "Iterator", "None": "None", "Sequence": "Sequence",
    "Size": "Size", "Tensor": "Tensor", "Generator": "Generator", "DType": "DType", "dtype": "DType",
    "device": "Device", "dict": "builtins.dict", "list": "builtins.list", "tuple": "builtins.tuple",
    "int": "builtins.int", "float": "builtins.float", "bool": "builtins.bool", "str": "builtins.str",
    "bytes": "builtins.bytes", "layout": "Layout",
    "_int": "builtins.int", "_float": "builtins.float", "_bool": "builtins.bool",
}  # fmt: skip


def _annotation(value: Any, otherwise: str = "Any") -> str:
    """An annotation in the words of a stub; `otherwise` where there is none that a stub can say."""
    if value is inspect.Parameter.empty:
        return otherwise
    text = value if isinstance(value, str) else getattr(value, "__name__", "Any") if value is not None else "None"
    text = text.replace("dtypes._", "_")
    words = re.findall(r"[A-Za-z_]\w*(?:\.\w+)*", text)
    if not all(word in WORDS for word in words):
        return otherwise
    text = re.sub(r"[A-Za-z_]\w*", lambda match: WORDS[match.group()], text)
    return otherwise if text == "Any" else text


def _default(value: Any) -> str:
    if value is None or isinstance(value, (bool, int, str)) or (isinstance(value, float) and abs(value) < 1e300):
        return repr(value)
    return "..."


def _parameters(function: Any, skip: int = 0) -> str | None:
    """The parameters of a Python function for a stub, without the first `skip`; None if they are not known."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):
        return None
    words: list[str] = []
    starred = positional_only = False
    for number, parameter in enumerate(signature.parameters.values()):
        if number < skip:
            continue
        if positional_only and parameter.kind is not parameter.POSITIONAL_ONLY:
            words.append("/")
        positional_only = parameter.kind is parameter.POSITIONAL_ONLY
        if parameter.kind is parameter.KEYWORD_ONLY and not starred:
            words.append("*")
            starred = True
        prefix = "*" if parameter.kind is parameter.VAR_POSITIONAL else ""
        prefix = "**" if parameter.kind is parameter.VAR_KEYWORD else prefix
        starred = starred or prefix == "*"
        word = f"{prefix}{parameter.name}: {_annotation(parameter.annotation)}"
        if parameter.default is not parameter.empty:
            word += f" = {_default(parameter.default)}"
        words.append(word)
    return ", ".join(words + ["/"] * positional_only)


def _returns(name: str, function: Any) -> str:
    if name in RETURNS:
        return RETURNS[name]
    if name in NAMED and name not in WITH_DIM:
        return f"return_{name}"
    found = getattr(function, "__annotations__", {}).get("return", inspect.Parameter.empty)
    return _annotation(found, "Tensor")


def _definition(name: str, function: Any, method: bool) -> list[str]:
    """The lines that declare a function, or a method of Tensor."""
    if name in WITH_DIM:
        first = "self" if method else "input: Tensor"
        lines = [
            f"@overload\ndef {name}({first}) -> Tensor: ...",
            f"@overload\ndef {name}({first}, dim: builtins.int, keepdim: builtins.bool = False, *, "
            f"out: Any = None) -> return_{name}: ...",
        ]
        if name in ("max", "min"):
            lines.append(f"@overload\ndef {name}({first}, other: Tensor, *, out: Tensor | None = None) -> Tensor: ...")
        return lines
    text = getattr(function, "__text_signature__", None)
    if type(function).__name__ == "method_descriptor":
        names = [part.strip() for part in (text or "()").strip("()").split(",") if part.strip()]
        words = [f"{part.partition('=')[0]}: Any" + (" = ..." if "=" in part else "") for part in names]
        return [f"def {name}({', '.join(['self', *words])}) -> {_returns(name, function)}: ..."]
    parameters = _parameters(function, 1 if method else 0)
    if parameters is None:
        parameters = "*args: Any, **kwargs: Any"
    given = ", ".join(part for part in ("self" if method else "", parameters) if part)
    return [f"def {name}({given}) -> {_returns(name, function)}: ..."]


def _named_results(names: list[str]) -> list[str]:
    lines = []
    for name in names:
        fields = "\n".join(f"    {field}: Tensor" for field in NAMED[name])
        lines.append(f"class return_{name}(NamedTuple):\n{fields}\n")
    return lines


def _lazy() -> tuple[set[str], dict[str, str]]:
    """The modules and the names that `flambeau` imports when they are first used."""
    import flambeau

    package: Any = flambeau
    return package._LAZY, package._LAZY_NAMES


def methods() -> str:
    """The text of `flambeau/_methods.pyi`: what is attached to Tensor, without its operators."""
    import flambeau

    kept: list[str] = []
    properties: list[str] = []
    for name in sorted(vars(flambeau.Tensor)):
        if (name.startswith("_") and name not in PROPERTIES) or not name.isidentifier():
            continue
        found = inspect.getattr_static(flambeau.Tensor, name)
        if type(found).__name__ in ("getset_descriptor", "property"):
            kind = PROPERTIES.get(name, "builtins.bool" if name.startswith("is_") else "Tensor")
            if name in SETTABLE:
                properties.append(f"{name}: {kind}")
            else:
                properties.append(f"@property\ndef {name}(self) -> {kind}: ...")
        else:
            kept += _definition(name, found, True)
    body = "\n".join("    " + line for entry in [*properties, *kept] for line in entry.split("\n"))
    return (
        HEADER.format("The methods and properties of Tensor; its operators are in `_core.pyi`.")
        + "import builtins\n"
        + "from collections.abc import Callable, Iterator, Sequence\n"
        + "from typing import Any, NamedTuple, overload\n\n"
        + "from flambeau._core import Tensor\n"
        + "from flambeau.devices import device as Device\n"
        + "from flambeau.dtypes import Size\n"
        + "from flambeau.dtypes import dtype as DType\n"
        + "from flambeau.layouts import layout as Layout\n"
        + "from flambeau.ops.random import Generator\n\n"
        + "\n".join(_named_results(sorted(NAMED)))
        + f"\nclass TensorMethods:\n{body}\n"
    )


def public_names() -> list[str]:
    """The names that `flambeau` offers: operations, classes, dtypes and modules, not what it imports for itself."""
    import flambeau

    own = {"Any", "TYPE_CHECKING", "annotations", "errors", "printing", "devices", "recording", "dtypes", "tensor_text"}
    modules, late = _lazy()
    names = {name for name in vars(flambeau) if not name.startswith("_")} | modules | set(late)
    names = {name for name in names if not name.startswith("_")}
    found = {name: getattr(flambeau, name, None) for name in names - own}
    return sorted(
        n for n, each in found.items() if each is not None and (n in modules or not isinstance(each, ModuleType))
    )


def namespace() -> str:
    """The text of `flambeau/__init__.pyi`."""
    import flambeau

    late = _lazy()[1]
    imports: list[str] = []
    modules: list[str] = []
    dtypes: list[str] = []
    values: list[str] = []
    functions: list[str] = []
    for name in public_names():
        found = getattr(flambeau, name)
        home = getattr(found, "__module__", None)
        if isinstance(found, ModuleType):
            modules.append(f"from flambeau import {name} as {name}")
        elif name in late:
            imports.append(f"from {late[name]} import {name} as {name}")
        elif isinstance(found, flambeau.dtypes.dtype):
            dtypes.append(f"{name}: DType")
        elif name == "Tensor":
            imports.append("from flambeau._core import Tensor as Tensor")
        elif type(found).__name__ == "_Typed":
            values.append(f"{name}: type[Tensor]")
        elif isinstance(found, type) and home:
            imports.append(f"from {home} import {found.__name__} as {name}")
        elif name in BUILTINS:
            functions.append(BUILTINS[name])
        elif callable(found) and (hasattr(found, "declaration") or inspect.isroutine(found)):
            functions += _definition(name, found, False)
        else:
            kind = type(found).__name__
            values.append(f"{name}: {WORDS.get(kind, 'Any')}")
    results = [name for name in sorted(NAMED) if any(f"return_{name}:" in line for line in functions)]
    return (
        HEADER.format("The names of `flambeau` for static checkers.")
        + "import builtins\n"
        + "from collections.abc import Callable, Iterator, Sequence\n"
        + "from typing import Any, overload\n\n"
        + "\n".join(modules)
        + "\n"
        + "\n".join(sorted(imports))
        + "\nfrom flambeau._methods import "
        + ", ".join(f"return_{name} as return_{name}" for name in results)
        + "\nfrom flambeau.devices import device as Device\n"
        + "from flambeau.dtypes import dtype as DType\n"
        + "from flambeau.layouts import layout as Layout\n\n"
        + "__version__: builtins.str\n"
        + "\n".join(dtypes + values)
        + "\n"
        + "\n".join(functions)
        + "\n"
    )


def special() -> str:
    """The text of `flambeau/special.pyi`, whose names are made from a table as well."""
    from importlib import import_module

    module: Any = import_module("flambeau.special")
    functions: list[str] = []
    for name in sorted(module.__all__):
        functions += _definition(name, getattr(module, name), False)
    return (
        HEADER.format("Special functions for static checkers.")
        + "import builtins\n"
        + "from typing import Any\n\n"
        + "from flambeau._core import Tensor\n"
        + "from flambeau.dtypes import dtype as DType\n\n"
        + "\n".join(functions)
        + "\n"
    )


def texts() -> dict[str, str]:
    """The files by name."""
    made = {"__init__.pyi": namespace(), "_methods.pyi": methods(), "special.pyi": special()}
    return {name: "# ruff: noqa\n# fmt: off\n" + text for name, text in made.items()}


def main() -> int:
    """The command line."""
    folder = Path(__file__).parent
    stale = []
    for name, text in texts().items():
        path = folder / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv:
                path.write_text(text)
    for name in stale:
        print(f"flambeau/{name}: " + ("stale; run python -m flambeau.stubs" if "--check" in sys.argv else "written"))
    return 1 if stale and "--check" in sys.argv else 0


if __name__ == "__main__":
    sys.exit(main())
