"""What one entry of an event file says: a number, a histogram, an image, a sound, a text, a set of hyperparameters.

Each function returns the bytes of a summary. How they are written is in `writer`.
"""

from __future__ import annotations

import struct
import zlib
from typing import Any

from flambeau.utils.tensorboard.records import double, doubles, message, number, single, text

__all__ = ["audio", "histogram", "histogram_raw", "hparams", "image", "scalar", "text_summary"]


def _array(value: Any) -> Any:
    """A tensor, an array or numbers as a NumPy array."""
    import numpy

    from flambeau import _core, dtypes

    if isinstance(value, _core.Tensor):
        value = value.detach()
        return (value.float() if value.dtype is dtypes.bfloat16 else value).numpy()
    return numpy.asarray(value)


def _value(tag: str, content: bytes, metadata: bytes = b"") -> bytes:
    return message(1, text(1, tag) + (message(9, metadata) if metadata else b"") + content)


def _metadata(plugin: str, content: bytes = b"") -> bytes:
    return message(1, text(1, plugin) + (message(2, content) if content else b""))


def scalar(tag: str, value: Any) -> bytes:
    """A number: a Python one, or a tensor or an array of one element."""
    array = _array(value)
    if array.size != 1:
        raise ValueError(f"add_scalar: {tag!r} must be one number, got shape {tuple(array.shape)}; take .mean() of it")
    return _value(tag, single(2, float(array.reshape(-1)[0])))


def _bins() -> list[float]:
    """The limits that TensorBoard's own histograms have: growing by a tenth from 1e-12 to 1e20, and their negatives."""
    limits, limit = [], 1e-12
    while limit < 1e20:
        limits.append(limit)
        limit *= 1.1
    return [-limit for limit in reversed(limits)] + [0.0, *limits]


def histogram(tag: str, values: Any, bins: Any = "tensorflow", max_bins: int | None = None) -> bytes:
    """How often values fall between limits: those of TensorBoard ("tensorflow"), or what `numpy.histogram` takes."""
    import numpy

    flat = _array(values).reshape(-1).astype("float64")
    if not flat.size:
        raise ValueError(f"add_histogram: {tag!r} has no elements, so there is nothing to count")
    counts, limits = numpy.histogram(flat, _bins() if isinstance(bins, str) and bins == "tensorflow" else bins)
    if max_bins is not None and len(counts) > max_bins:
        step = -(-len(counts) // max_bins)
        counts = numpy.add.reduceat(counts, range(0, len(counts), step))
        limits = numpy.append(limits[:-1:step], limits[-1])
    used = numpy.nonzero(counts)[0]
    if not used.size:
        raise ValueError(f"add_histogram: no element of {tag!r} is within the bins (NaN and infinities are not)")
    first, last = int(used[0]), int(used[-1]) + 1
    # Only right limits are written: an empty bin before the first one keeps its left limit.
    counts = counts[first - 1 : last] if first else numpy.concatenate([[0], counts[:last]])
    return histogram_raw(
        tag, flat.min(), flat.max(), flat.size, flat.sum(), flat @ flat, limits[first : last + 1], counts
    )


def histogram_raw(
    tag: str, min: float, max: float, num: int, sum: float, sum_squares: float, bucket_limits: Any, bucket_counts: Any
) -> bytes:
    """A histogram that was counted elsewhere: the right limit of each bin, and how many values are in it."""
    if len(bucket_limits) != len(bucket_counts):
        raise ValueError(
            f"add_histogram_raw: one limit a bin, got {len(bucket_limits)} limits and {len(bucket_counts)} counts"
        )
    fields = (float(each) for each in (min, max, num, sum, sum_squares))
    content = b"".join([double(field, value) for field, value in enumerate(fields, 1)])
    content += doubles(6, (float(each) for each in bucket_limits))
    content += doubles(7, (float(each) for each in bucket_counts))
    return _value(tag, message(5, content))


def _png(pixels: Any) -> bytes:
    """A PNG file of (H, W, C) bytes, C of 1, 3 or 4."""
    height, width, channels = pixels.shape
    kind = {1: 0, 3: 2, 4: 6}[channels]
    rows = b"".join([b"\0" + pixels[row].tobytes() for row in range(height)])

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, kind, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows, 6)) + chunk(b"IEND", b"")


def _tiled(images: Any, columns: int = 8) -> Any:
    """Several images (N, H, W, C) as one, side by side."""
    import numpy

    count, height, width, channels = images.shape
    columns = min(count, columns)
    rows = -(-count // columns) if count else 0
    sheet = numpy.zeros((rows * height, columns * width, channels), images.dtype)
    for i in range(count):
        y, x = i // columns * height, i % columns * width
        sheet[y : y + height, x : x + width] = images[i]
    return sheet


def image(tag: str, tensor: Any, rescale: float = 1, dataformats: str = "NCHW") -> bytes:
    """An image, or several side by side.

    Arguments: `tensor`, bytes, or numbers between 0 and 1; `dataformats`, what its dimensions are: letters of N
    (images), C (1, 3 or 4 channels), H and W; `rescale`, a factor for width and height, to the nearest pixel.
    """
    import numpy

    array, letters = _array(tensor), dataformats.upper()
    if len(letters) != array.ndim or len(set(letters)) != len(letters) or not {"H", "W"} <= set(letters) <= set("NCHW"):
        raise ValueError(
            f"add_image: {tag!r} has shape {tuple(array.shape)}, which dataformats={dataformats!r} does not name; give "
            "one letter of N, C, H, W for each dimension"
        )
    for letter in "CN":
        if letter not in letters:
            array, letters = array[None], letter + letters
    array = array.transpose([letters.index(letter) for letter in "NHWC"])
    if array.shape[3] not in (1, 3, 4):
        raise ValueError(f"add_image: {tag!r} has {array.shape[3]} channels; an image has 1, 3 or 4")
    if array.dtype != numpy.uint8:
        array = numpy.nan_to_num(array.astype("float64") * 255.0).clip(0, 255).astype("uint8")
    sheet = _tiled(array) if array.shape[0] != 1 else array[0]
    if rescale != 1:
        sizes = [max(1, int(size * rescale)) for size in sheet.shape[:2]]
        sheet = sheet[[i * sheet.shape[0] // sizes[0] for i in range(sizes[0])]]
        sheet = sheet[:, [i * sheet.shape[1] // sizes[1] for i in range(sizes[1])]]
    height, width, channels = sheet.shape
    content = number(1, height) + number(2, width) + number(3, channels)
    return _value(tag, message(4, content + message(4, _png(numpy.ascontiguousarray(sheet)))))


def audio(tag: str, tensor: Any, sample_rate: int = 44100) -> bytes:
    """A sound (1, L) or (L,) of numbers between -1 and 1."""
    import io
    import wave

    import numpy

    samples = _array(tensor).reshape(-1)
    pcm = numpy.nan_to_num(samples.astype("float64") * 32767.0).clip(-32767, 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(sample_rate)
        out.writeframes(pcm.tobytes())
    content = single(1, sample_rate) + number(2, 1) + number(3, samples.size) + message(4, file.getvalue())
    return _value(tag, message(6, content + text(5, "audio/wav")))


def text_summary(tag: str, content: str) -> bytes:
    """A text, shown as Markdown."""
    tensor = number(1, 7) + message(2, message(2, number(1, 1))) + text(8, str(content))
    return _value(tag + "/text_summary", message(8, tensor), _metadata("text"))


def _plain(value: Any) -> tuple[bytes, int]:
    """A hyperparameter as a value of TensorBoard's and the number of its type."""
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        value = value.item()
    if isinstance(value, bool):
        return number(4, int(value)), 2
    if isinstance(value, (int, float)):
        return double(2, float(value)), 3
    if isinstance(value, str):
        return text(3, value), 1
    raise ValueError(f"add_hparams: a hyperparameter must be a number, a bool or a text, got {type(value).__name__}")


def hparams(hparam_dict: dict, metric_dict: dict, hparam_domain_discrete: Any = None) -> tuple[bytes, bytes, bytes]:
    """The summaries of an experiment, of one run's beginning with its hyperparameters, and of the run's end."""
    start, known = b"", b""
    for name, value in hparam_dict.items():
        if value is None:
            continue
        plain, kind = _plain(value)
        start += message(1, text(1, name) + message(2, plain))
        domain = (hparam_domain_discrete or {}).get(name, ())
        listed = b"".join([message(1, _plain(each)[0]) for each in domain])
        known += message(5, text(1, name) + number(4, kind) + (message(5, listed) if listed else b""))
    known += b"".join([message(6, message(1, text(2, name))) for name in metric_dict])
    parts = (
        ("experiment", message(2, known)), ("session_start_info", message(3, start)),
        ("session_end_info", message(4, number(1, 1))),
    )  # fmt: skip
    experiment, begin, end = (_value(f"_hparams_/{name}", b"", _metadata("hparams", part)) for name, part in parts)
    return experiment, begin, end
