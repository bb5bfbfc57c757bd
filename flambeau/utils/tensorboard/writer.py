"""`SummaryWriter`: numbers, histograms, images and texts of a training, in files that TensorBoard shows."""

from __future__ import annotations

import os
import time
import warnings
from datetime import datetime
from typing import Any

from flambeau.utils.tensorboard import summary
from flambeau.utils.tensorboard.records import double, message, number, record, text

__all__ = ["FileWriter", "SummaryWriter"]

_written = 0


class FileWriter:
    """One event file in a folder, which is made if it is not there."""

    def __init__(self, log_dir: Any, max_queue: int = 10, flush_secs: float = 120, filename_suffix: str = "") -> None:
        import socket

        global _written
        self._folder = os.fspath(log_dir)
        os.makedirs(self._folder, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time()):010d}.{socket.gethostname()}.{os.getpid()}.{_written}"
        _written += 1
        self._path = os.path.join(self._folder, name + filename_suffix)
        self._flush_secs, self._flushed = flush_secs, time.time()
        self._file: Any = open(self._path, "ab")
        self._event(text(3, "brain.Event:2"), None, None)
        self.flush()

    def get_logdir(self) -> str:
        """The folder."""
        return self._folder

    def _event(self, what: bytes, step: Any, walltime: float | None) -> None:
        if self._file is None:  # closed: go on in the same file
            self._file = open(self._path, "ab")
        head = double(1, time.time() if walltime is None else walltime)
        if step is not None:
            head += number(2, int(step))
        self._file.write(record(head + what))
        if time.time() - self._flushed > self._flush_secs:
            self.flush()

    def add_summary(self, summary: bytes, global_step: Any = None, walltime: float | None = None) -> None:
        """Write what a function of `flambeau.utils.tensorboard.summary` returned."""
        self._event(message(5, summary), global_step, walltime)

    def flush(self) -> None:
        """Put on disk what was added."""
        if self._file is not None:
            self._file.flush()
        self._flushed = time.time()

    def close(self) -> None:
        """Write the rest and close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    reopen = flush


class SummaryWriter:
    """A folder of event files that `tensorboard --logdir runs` shows; adding to it is quick.

    Arguments: `log_dir`, by default runs/ and the time and the machine's name; `comment`, added to that name;
    `purge_step`, entries of later steps that are there are not shown any more; `flush_secs`, at most so long entries
    are kept in memory; `filename_suffix`; `max_queue` is accepted. Every `add_` method takes the `tag` under which an
    entry is shown, `global_step`, its place on the axis, and `walltime`, instead of now, in seconds.

    >>> import tempfile
    >>> with fl.utils.tensorboard.SummaryWriter(tempfile.mkdtemp()) as writer:
    ...     for step in range(3):
    ...         writer.add_scalar("loss", 1.0 / (step + 1), step)
    """

    def __init__(
        self, log_dir: Any = None, comment: str = "", purge_step: int | None = None, max_queue: int = 10,
        flush_secs: float = 120, filename_suffix: str = "",
    ) -> None:  # fmt: skip
        if not log_dir:
            import socket

            log_dir = os.path.join("runs", f"{datetime.now():%b%d_%H-%M-%S}_{socket.gethostname()}{comment}")
        self.log_dir = os.fspath(log_dir)
        self.purge_step, self.flush_secs, self.filename_suffix = purge_step, flush_secs, filename_suffix
        self.all_writers: dict[str, FileWriter] = {}
        self.file_writer = self._get_file_writer()

    def _get_file_writer(self) -> FileWriter:
        writer = self._writer(self.log_dir)
        if self.purge_step is not None:  # a session that begins at a step
            writer._event(message(7, number(1, 1)), self.purge_step, None)
            self.purge_step = None
        return writer

    def _writer(self, folder: str) -> FileWriter:
        found = self.all_writers.get(folder)
        if found is None:
            made = FileWriter(folder, flush_secs=self.flush_secs, filename_suffix=self.filename_suffix)
            found = self.all_writers[folder] = made
        return found

    def get_logdir(self) -> str:
        """The folder."""
        return self.log_dir

    def _add(self, what: bytes, step: Any, walltime: float | None) -> None:
        self.file_writer.add_summary(what, step, walltime)

    def add_scalar(
        self, tag: str, scalar_value: Any, global_step: Any = None, walltime: float | None = None,
        new_style: bool = False, double_precision: bool = False,
    ) -> None:  # fmt: skip
        """A number, one point of a curve; `new_style` and `double_precision` are accepted."""
        self._add(summary.scalar(tag, scalar_value), global_step, walltime)

    def add_scalars(
        self, main_tag: str, tag_scalar_dict: dict, global_step: Any = None, walltime: float | None = None
    ) -> None:
        """Several numbers in one picture, each in a folder of its own."""
        walltime = time.time() if walltime is None else walltime
        for tag, value in tag_scalar_dict.items():
            writer = self._writer(f"{self.log_dir}/{main_tag.replace('/', '_')}_{tag}")
            writer.add_summary(summary.scalar(main_tag, value), global_step, walltime)

    def add_histogram(
        self, tag: str, values: Any, global_step: Any = None, bins: Any = "tensorflow", walltime: float | None = None,
        max_bins: int | None = None,
    ) -> None:  # fmt: skip
        """How the elements of a tensor are distributed; `bins`, "tensorflow" or what `numpy.histogram` takes."""
        self._add(summary.histogram(tag, values, bins, max_bins), global_step, walltime)

    def add_histogram_raw(
        self, tag: str, min: float, max: float, num: int, sum: float, sum_squares: float, bucket_limits: Any,
        bucket_counts: Any, global_step: Any = None, walltime: float | None = None,
    ) -> None:  # fmt: skip
        """A histogram that was counted elsewhere."""
        made = summary.histogram_raw(tag, min, max, num, sum, sum_squares, bucket_limits, bucket_counts)
        self._add(made, global_step, walltime)

    def add_image(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None,
        dataformats: str = "CHW",
    ) -> None:  # fmt: skip
        """An image: bytes, or numbers between 0 and 1, of the dimensions that `dataformats` names."""
        self._add(summary.image(tag, img_tensor, dataformats=dataformats), global_step, walltime)

    def add_images(
        self, tag: str, img_tensor: Any, global_step: Any = None, walltime: float | None = None,
        dataformats: str = "NCHW",
    ) -> None:  # fmt: skip
        """Several images of one size, side by side."""
        self._add(summary.image(tag, img_tensor, dataformats=dataformats), global_step, walltime)

    def add_figure(
        self, tag: str, figure: Any, global_step: Any = None, close: bool = True, walltime: float | None = None
    ) -> None:
        """A figure of Matplotlib, or a list of them, as an image; `close`, it is closed then."""
        import numpy

        figures = figure if isinstance(figure, list) else [figure]
        pictures = []
        for each in figures:
            from matplotlib.backends.backend_agg import FigureCanvasAgg

            canvas = FigureCanvasAgg(each)
            canvas.draw()
            pictures.append(numpy.asarray(canvas.buffer_rgba())[:, :, :3].copy())
            if close:
                import matplotlib.pyplot

                matplotlib.pyplot.close(each)
        self._add(summary.image(tag, numpy.stack(pictures), dataformats="NHWC"), global_step, walltime)

    def add_audio(
        self, tag: str, snd_tensor: Any, global_step: Any = None, sample_rate: int = 44100,
        walltime: float | None = None,
    ) -> None:  # fmt: skip
        """A sound (1, L) of numbers between -1 and 1."""
        self._add(summary.audio(tag, snd_tensor, sample_rate), global_step, walltime)

    def add_text(self, tag: str, text_string: str, global_step: Any = None, walltime: float | None = None) -> None:
        """A text, shown as Markdown."""
        self._add(summary.text_summary(tag, text_string), global_step, walltime)

    def add_hparams(
        self, hparam_dict: dict, metric_dict: dict, hparam_domain_discrete: dict | None = None,
        run_name: str | None = None, global_step: Any = None,
    ) -> None:  # fmt: skip
        """The hyperparameters of a run (numbers, bools, texts) and what came of it, as one row of a table."""
        if not isinstance(hparam_dict, dict) or not isinstance(metric_dict, dict):
            raise TypeError("add_hparams: hparam_dict and metric_dict should be dictionaries")
        parts = summary.hparams(hparam_dict, metric_dict, hparam_domain_discrete)
        with SummaryWriter(os.path.join(self.log_dir, run_name or str(time.time()))) as writer:
            for part in parts:
                writer.file_writer.add_summary(part, global_step)
            for name, value in metric_dict.items():
                writer.add_scalar(name, value, global_step)

    def add_graph(
        self, model: Any, input_to_model: Any = None, verbose: bool = False, use_strict_trace: bool = True
    ) -> None:
        """Nothing is written, and a warning says so: there is no picture of a graph in TensorBoard's format."""
        warnings.warn(
            "add_graph: graphs are not written; flambeau.compile(model).explain() or print(model) tell its parts",
            stacklevel=2,
        )

    def flush(self) -> None:
        """Put on disk what was added."""
        for writer in self.all_writers.values():
            writer.flush()

    def close(self) -> None:
        """Write the rest and close the files."""
        for writer in self.all_writers.values():
            writer.close()

    def __enter__(self) -> SummaryWriter:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
