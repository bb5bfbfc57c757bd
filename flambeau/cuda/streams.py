"""Streams and events of CUDA, as programs name them; making one on a machine without CUDA is a DeviceError."""

from __future__ import annotations

from typing import Any

from flambeau.devices import NO_CUDA
from flambeau.errors import DeviceError

__all__ = ["Event", "Stream", "StreamContext", "current_stream", "default_stream", "set_stream", "stream"]


class Stream:
    """A queue of work on a CUDA device; DeviceError without one.

    >>> fl.cuda.is_available() and fl.cuda.Stream()
    False
    """

    def __init__(self, device: Any = None, priority: int = 0, **options: Any) -> None:
        raise DeviceError(NO_CUDA)


class Event:
    """A mark in a stream, which says when the work before it is done; DeviceError without a CUDA device.

    >>> fl.cuda.is_available() and fl.cuda.Event()
    False
    """

    def __init__(self, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False) -> None:
        raise DeviceError(NO_CUDA)


class StreamContext:
    """A block whose work goes to a stream; `None` changes nothing."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        if self.stream is not None:
            raise DeviceError(NO_CUDA)

    def __exit__(self, *exception: object) -> None:
        pass


def stream(stream: Any) -> StreamContext:
    """A block whose work goes to a stream; `None` changes nothing.

    >>> with fl.cuda.stream(None): print("as before")
    as before
    """
    return StreamContext(stream)


def current_stream(device: Any = None) -> Any:
    """The stream that work goes to; DeviceError without a CUDA device."""
    raise DeviceError(NO_CUDA)


def default_stream(device: Any = None) -> Any:
    """The stream that work goes to at the start; DeviceError without a CUDA device."""
    raise DeviceError(NO_CUDA)


def set_stream(stream: Any) -> None:
    """Make a stream the current one; `None` changes nothing."""
    if stream is not None:
        raise DeviceError(NO_CUDA)
