"""The command line: `flambeau train`, `flambeau predict`, `flambeau demo`.

Only argument parsing happens here; the work is `flambeau.tabular`'s, imported once the arguments are known to be good,
so that `--help` answers at once.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["main"]

BAD_INPUT = 2
INTERRUPTED = 130
EXTRAS = ("matplotlib", "pandas", "rich", "sklearn")

TRAIN_TEXT = """\
Train a network that predicts one column of a table from the others.

The table's columns are read as numbers (also "£1,234" or "12 %"), flags, dates or categories; columns that only
number the rows, equal columns, free text and empty columns are recognised, left out and reported. A fifth of the rows
is held out; on it the network is compared with the median, ridge regression and scikit-learn's gradient boosting, in
the target's own units. The model, its preprocessing, the figures and a picture are written to a folder that
`flambeau predict` reads.
"""
TRAIN_NOTES = """\
recipes:
  default   logarithm of a skewed target and of skewed inputs; categories with many levels as level effects fitted
            out of fold; 8 networks trained as one, each with its own validation rows and early stopping
  classic   target as it is, one-hot categories, one network, Adam at 0.01, 100 full-batch epochs

examples:
  flambeau train houses.csv --target Price
  flambeau train houses.csv --target Price --where "Price < 10000000" --output houses-model
  flambeau train sales.parquet --target amount --drop comment --hidden 128,64 --epochs 50

exit status: 0 done, 2 the table, an option or a folder cannot be used (standard error says why), 130 interrupted
"""
PREDICT_NOTES = """\
examples:
  flambeau predict houses-model new.csv
  flambeau predict houses-model new.csv --output predictions.csv
"""


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.replace("-", ",").split(",") if part)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of sizes such as 64,32") from None


def _seed(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = -1
    if not 0 <= value < 2**32:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 to 4294967295")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flambeau", description="Deep learning on tables from the command line.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    train = commands.add_parser(
        "train", help="train a model on a table", description=TRAIN_TEXT, epilog=TRAIN_NOTES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    train.add_argument("table", metavar="TABLE", help="a CSV or Parquet file")
    train.add_argument("--target", "-t", required=True, metavar="COLUMN", help="the column to predict: numbers")
    train.add_argument(
        "--output", "-o", metavar="FOLDER", help="where to write the model; TABLE's name with -model unless given"
    )
    train.add_argument("--recipe", choices=("default", "classic"), default="default", help="see below")
    rows = train.add_argument_group("rows and columns")
    rows.add_argument("--where", metavar="QUERY", help='use only these rows, a pandas query: "Price < 10000000"')
    rows.add_argument("--drop", action="append", default=[], metavar="COLUMN", help="leave a column out (repeatable)")
    rows.add_argument("--test-size", type=float, default=0.2, metavar="SHARE", help="share of rows held out (0.2)")
    _add_training(train)

    predict = commands.add_parser(
        "predict", help="predict the rows of a table with a trained model", epilog=PREDICT_NOTES,
        description="Predict the rows of a table, in the target's units, with a model that `flambeau train` wrote.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    predict.add_argument("folder", metavar="FOLDER", help="the model's folder")
    predict.add_argument("table", metavar="TABLE", help="a CSV or Parquet file with the training table's columns")
    predict.add_argument(
        "--output", "-o", metavar="FILE", help="write the table with a column of predictions to this CSV file"
    )

    demo = commands.add_parser(
        "demo", help="train on generated houses, and predict a few of them",
        description="Generate a table of houses, train on it with the default recipe, report, save, and predict a few.",
    )  # fmt: skip
    demo.add_argument("--output", "-o", metavar="FOLDER", default="demo", help="where to write table and model (demo)")
    demo.add_argument("--rows", type=int, default=3500, help="how many houses to generate (3500)")
    demo.add_argument("--seed", type=_seed, default=0, help="of houses, split and training (0)")
    return parser


def _add_training(train: argparse.ArgumentParser) -> None:
    group = train.add_argument_group("training (each has the recipe's own value unless given)")
    group.add_argument("--seed", type=_seed, default=0, help="of the split and of all else that is random (0)")
    group.add_argument("--hidden", type=_sizes, default=(64, 32), metavar="N,N", help="sizes of hidden layers (64,32)")
    group.add_argument("--members", type=int, default=8, metavar="N", help="networks in the ensemble (8)")
    group.add_argument("--epochs", type=int, metavar="N", help="at most so many passes over the rows (100)")
    group.add_argument("--batch-size", type=int, metavar="N", help="rows a step (default recipe: by the table's size)")
    group.add_argument("--learning-rate", type=float, metavar="RATE", help="Adam's (0.003; classic 0.01)")
    group.add_argument(
        "--patience", type=int, metavar="N",
        help="stop after so many epochs without a better validation error (12; classic: does not stop early)",
    )  # fmt: skip
    group.add_argument("--no-baselines", action="store_true", help="do not train the models to compare with")


def _console(to_error: bool = False) -> Console:
    from rich.console import Console

    stream = sys.stderr if to_error else sys.stdout
    console = Console(file=stream, soft_wrap=False)
    if not console.is_terminal:
        console = Console(file=stream, width=110)
    return console


@contextlib.contextmanager
def _live_progress() -> Iterator[tuple[Callable[[str], None], Callable[[int, int, float, float | None], None]]]:
    """A progress bar on standard error; yields what `train` calls at every stage and after every epoch."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TextColumn("{task.fields[figures]}"),
        TimeElapsedColumn(),
    )
    console = _console(to_error=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("reading the table", total=None, figures="")

        def stage(text: str) -> None:
            bar.update(task, description=text)

        def epoch(done: int, most: int, training: float, validation: float | None) -> None:
            figures = f"loss {training:.4f}" + ("" if validation is None else f", validation {validation:.4f}")
            bar.update(task, completed=done, total=most, figures=figures)

        yield stage, epoch


def _train(arguments: argparse.Namespace) -> int:
    from .tabular import train

    output = arguments.output
    if output is None:
        output = os.path.basename(arguments.table.rstrip("/")).split(".")[0] + "-model"
    with _live_progress() as (stage, epoch):
        model = train(
            arguments.table,
            arguments.target,
            recipe=arguments.recipe,
            where=arguments.where,
            drop=arguments.drop,
            seed=arguments.seed,
            test_size=arguments.test_size,
            hidden=arguments.hidden,
            members=arguments.members,
            epochs=arguments.epochs,
            batch_size=arguments.batch_size,
            learning_rate=arguments.learning_rate,
            patience=arguments.patience,
            baselines=not arguments.no_baselines,
            output=output,
            stage=stage,
            progress=epoch,
        )
    console = _console()
    model.report.print(console)
    _tell_where(console, output)
    return 0


def _tell_where(console: Console, output: str) -> None:
    console.print(f"Model, figures and picture are in {output}", markup=False, highlight=False, soft_wrap=True)


def _predict(arguments: argparse.Namespace) -> int:
    from .tabular import TableError, load
    from .tabular.reading import read_table

    model = load(arguments.folder)
    notes: list[str] = []
    frame = read_table(arguments.table, notes)
    predicted = model.predict(frame, notes)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    name = f"predicted {model.target}"
    while name in frame.columns:
        name += " again"
    result = frame.assign(**{name: predicted})
    if arguments.output is not None:
        try:
            _write_csv(result, arguments.output)
        except OSError as error:
            raise TableError(
                f"The predictions could not be written to {arguments.output!r}: {error.strerror or error}."
            ) from None
        print(f"{len(result):,} predictions are in {arguments.output}")
    else:
        result[[name]].to_csv(sys.stdout, index_label="row", lineterminator="\n")
    _measure_known(model, frame, predicted)
    return 0


def _write_csv(frame: Any, path: str) -> None:
    """Writes beside the place and renames, so that a broken run leaves no half table."""
    partial = f"{path}.partial-{os.getpid()}"
    try:
        frame.to_csv(partial, index=False)
        os.replace(partial, path)
    finally:
        with contextlib.suppress(OSError):
            os.remove(partial)


def _measure_known(model: Any, frame: Any, predicted: Any) -> None:
    """Where the table has the target, its figures go to standard error."""
    if model.target not in frame.columns:
        return
    import numpy as np

    from .tabular.columns import parse_column, read_column
    from .tabular.metrics import measure
    from .tabular.report import Report

    column = read_column(frame[model.target])
    if column.kind not in ("number", "flag"):
        return
    truth = parse_column(frame[model.target], column).to_numpy(dtype=np.float64)
    known = np.isfinite(truth)
    if known.sum() >= 2:
        report = Report(model.target, model.recipe, {"flambeau": measure(truth[known], predicted[known])}, [])
        report.print(_console(to_error=True))


def _demo(arguments: argparse.Namespace) -> int:
    from .tabular.demo import run

    return run(arguments.output, arguments.rows, arguments.seed, _console(), _live_progress)


def main(argv: list[str] | None = None) -> int:
    """Runs one command; returns the exit status: 0 done, 2 bad input, 130 interrupted."""
    arguments = _parser().parse_args(argv)
    command = {"train": _train, "predict": _predict, "demo": _demo}[arguments.command]
    from .tabular.errors import TableError

    try:
        return command(arguments)
    except TableError as error:
        print(f"flambeau {arguments.command}: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print(f"\nflambeau {arguments.command}: interrupted; nothing was replaced.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # the reader of our output went away (`| head`): no more can be said, and Python must not try at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in EXTRAS:
            raise
        print(
            f"flambeau {arguments.command}: the package {error.name} is needed: pip install 'flambeau[tabular]'",
            file=sys.stderr,
        )
        return BAD_INPUT
    except MemoryError:
        print(f"flambeau {arguments.command}: the table does not fit into memory.", file=sys.stderr)
        return BAD_INPUT


if __name__ == "__main__":
    sys.exit(main())
