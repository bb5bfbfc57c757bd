"""A model's folder on disk: written whole beside its place and then exchanged, read with every damage named.

model.safetensors     the weights
preprocessing.json    columns, encodings, scales, network sizes, and the weights' digest
metrics.json          the figures of the report, options, notes, learning curve
picture.png           learning curve, predicted against true, residuals
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import TableError

if TYPE_CHECKING:
    import numpy as np

__all__ = ["check_destination", "read_folder", "write_folder"]

FORMAT = "flambeau tabular model"
VERSION = 1
WEIGHTS, PREPROCESSING, METRICS, PICTURE = "model.safetensors", "preprocessing.json", "metrics.json", "picture.png"
PARTIAL = ".partial-"


def check_destination(folder: str | os.PathLike[str]) -> Path:
    """The folder's absolute path, if a model may be written there; asked before training, so that no work is lost.

    Errors: TableError when it is a file, a folder of other things, or in a place that cannot be written.
    """
    path = Path(os.path.abspath(folder))
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise TableError(f"The output {str(path)!r} exists and is not a folder. Choose another name.")
    if path.is_dir() and any(path.iterdir()) and not _is_model(path):
        raise TableError(
            f"The output folder {str(path)!r} holds other files and no flambeau model; it is left alone. "
            "Choose another name, or empty it first."
        )
    parent = path.parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise TableError(f"The output folder {str(path)!r} cannot be made: {str(parent)!r} is not writable.")
    return path


def _is_model(path: Path) -> bool:
    """Whether the folder was written by `write_folder`, be it damaged since."""
    allowed = {WEIGHTS, PREPROCESSING, METRICS, PICTURE}
    names = {entry.name for entry in path.iterdir()}
    if not names & {WEIGHTS, PREPROCESSING}:
        return False
    if names <= allowed:
        return True
    try:
        return json.loads((path / PREPROCESSING).read_text(encoding="utf-8"))["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError):
        return False


def write_folder(
    folder: str | os.PathLike[str],
    weights: Mapping[str, np.ndarray],
    preprocessing: dict[str, Any],
    metrics: dict[str, Any],
    picture: bytes | None,
) -> Path:
    """Writes a model folder; until the last moment an older model there stays as it was."""
    from safetensors.numpy import save

    path = check_destination(folder)
    blob = save(dict(weights))
    head = {"format": FORMAT, "version": VERSION, "weights_sha256": hashlib.sha256(blob).hexdigest()}
    files = {
        WEIGHTS: blob,
        PREPROCESSING: _json({**head, **preprocessing}),
        METRICS: _json(metrics),
        **({PICTURE: picture} if picture is not None else {}),
    }
    partial = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(path)
        partial = Path(tempfile.mkdtemp(prefix=f".{path.name}{PARTIAL}{os.getpid()}-", dir=path.parent))
        for name, content in files.items():
            with open(partial / name, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        os.chmod(partial, 0o777 & ~_umask())
        _put_in_place(partial, path)
    except OSError as error:
        kept = " The model that was there before is untouched." if path.exists() else ""
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = "the disk is full" if full else (error.strerror or str(error))
        raise TableError(f"The model could not be saved to {str(path)!r}: {why}.{kept}") from None
    finally:
        if partial is not None:
            shutil.rmtree(partial, ignore_errors=True)
    return path


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values, indent=1, ensure_ascii=False, allow_nan=False).encode()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _put_in_place(partial: Path, path: Path) -> None:
    """Renames `partial` to `path`; what was there is exchanged in the same moment where the system can."""
    if not path.exists():
        os.rename(partial, path)
    elif not any(path.iterdir()):
        os.rmdir(path)
        os.rename(partial, path)
    elif _exchange(partial, path):
        shutil.rmtree(partial, ignore_errors=True)
    else:
        aside = Path(f"{partial}.old")
        os.rename(path, aside)
        try:
            os.rename(partial, path)
        except OSError:
            os.rename(aside, path)
            raise
        shutil.rmtree(aside, ignore_errors=True)


def _exchange(first: Path, second: Path) -> bool:
    """Swaps two paths atomically (Linux renameat2, macOS renamex_np); False where that does not exist."""
    try:
        library = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "darwin":
            return library.renamex_np(os.fsencode(first), os.fsencode(second), ctypes.c_uint(2)) == 0
        here = -100  # AT_FDCWD
        swap = ctypes.c_uint(2)  # RENAME_EXCHANGE
        return library.renameat2(here, os.fsencode(first), here, os.fsencode(second), swap) == 0
    except (OSError, AttributeError, TypeError):
        return False


def _remove_left_over(path: Path) -> None:
    """Removes what saves of this folder left beside it when they were killed."""
    for left in path.parent.glob(f".{_escaped(path.name)}{PARTIAL}*"):
        process = left.name.rpartition(PARTIAL)[2].split("-")[0]
        if not process.isdigit() or int(process) == os.getpid() or _alive(int(process)):
            continue
        if left.name.endswith(".old") and not path.exists():
            os.rename(left, path)  # killed between two renames: this is the only copy of the older model
        else:
            shutil.rmtree(left, ignore_errors=True)


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass
    return True


def read_folder(folder: str | os.PathLike[str]) -> tuple[dict[str, np.ndarray], dict[str, Any], dict[str, Any]]:
    """Reads weights, preprocessing and metrics.

    Errors: TableError that names the missing or damaged file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    path = Path(folder)
    if not path.exists():
        raise TableError(f"There is no model folder {str(path)!r}. Make one with: flambeau train TABLE --target COLUMN")
    if not path.is_dir():
        raise TableError(f"{str(path)!r} is a file, and the folder that `flambeau train` wrote is needed.")
    again = "Train again, or restore the folder from a copy."
    text = _read(path, PREPROCESSING, again)
    try:
        preprocessing = json.loads(text.decode("utf-8"))
        form, version = preprocessing["format"], preprocessing["version"]
    except (ValueError, KeyError, TypeError):
        raise TableError(
            f"The model folder {str(path)!r} is damaged: {PREPROCESSING} is not what was written. {again}"
        ) from None
    if form != FORMAT:
        raise TableError(f"{str(path)!r} is not a flambeau tabular model: {PREPROCESSING} says format {form!r}.")
    if version != VERSION:
        raise TableError(
            f"The model in {str(path)!r} has format version {version!r} and this flambeau reads version {VERSION}: "
            "update flambeau, or train again with this one."
        )
    blob = _read(path, WEIGHTS, again)
    if hashlib.sha256(blob).hexdigest() != preprocessing.get("weights_sha256"):
        raise TableError(
            f"The model folder {str(path)!r} is damaged: {WEIGHTS} is not the file that {PREPROCESSING} was written "
            f"with (cut short, changed, or from another model). {again}"
        )
    try:
        weights = load(blob)
    except (SafetensorError, ValueError) as error:
        raise TableError(f"The model folder {str(path)!r} is damaged: {WEIGHTS}: {error}. {again}") from None
    try:
        metrics = json.loads((path / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        metrics = {}  # the figures are a record; predictions do not need them
    return weights, preprocessing, metrics if isinstance(metrics, dict) else {}


def _read(path: Path, name: str, again: str) -> bytes:
    try:
        return (path / name).read_bytes()
    except FileNotFoundError:
        raise TableError(f"The model folder {str(path)!r} has no file {name}. {again}") from None
    except OSError as error:
        raise TableError(f"{str(path / name)!r} could not be read: {error.strerror or error}.") from None
