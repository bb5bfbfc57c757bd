"""Times flambeau beside torch and NumPy, prints a table and writes benchmarks/results/CPU.json.

python -m benchmarks                     every case; the result is kept in benchmarks/results
python -m benchmarks add_small matmul    only the cases whose names begin so
python -m benchmarks --quick             fewer rounds; nothing is kept
python -m benchmarks --readme            rewrite the table in README.md from the newest result
"""

from __future__ import annotations

import argparse
import json
import os
import sys


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="beginnings of the names of the cases to run; all if none is given")
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    parser.add_argument("--quick", action="store_true", help="a quarter of the rounds")
    parser.add_argument("--rounds", type=int, default=0, help="alternations for each case (default 40)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each framework (default 2)")
    parser.add_argument("--json", metavar="FILE", help="write the result there as well; - is the standard output")
    parser.add_argument("--no-torch", action="store_true", help="leave torch out even if it is installed")
    parser.add_argument(
        "--readme", nargs="?", const="", metavar="FILE", help="rewrite the table in README.md from a result; no timing"
    )
    arguments = parser.parse_args()

    from benchmarks import report

    if arguments.readme is not None:
        report.rewrite_readme(arguments.readme or report.newest())
        return 0

    # Before NumPy is imported: its BLAS reads these once.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(arguments.threads)

    from benchmarks import cases, processes, sequences

    known = [*cases.CASES, *sequences.CASES, *processes.CASES]
    chosen = [case for case in known if not arguments.names or case.name.startswith(tuple(arguments.names))]
    if arguments.list:
        for case in known:
            print(f"{case.name:24} {case.title}")
        return 0
    if not chosen:
        parser.error(f"no case begins with {' or '.join(arguments.names)}; --list names them all")

    from benchmarks.timing import load_frameworks

    load = os.getloadavg()[0]
    frameworks = load_frameworks(arguments.threads, torch=not arguments.no_torch)
    rounds = arguments.rounds or (10 if arguments.quick else 40)
    quiet = arguments.json == "-"
    out = sys.stderr if quiet else sys.stdout
    print(report.heading(frameworks, arguments.threads, load), file=out)
    results, failed = [], []
    for case in chosen:
        try:
            result = case.run(frameworks, rounds)
        except Exception as error:
            failed.append(case.name)
            print(f"{case.title}: {type(error).__name__}: {error}", file=out, flush=True)
            continue
        results.append(result)
        print(report.line(result), file=out, flush=True)
    document = report.document(frameworks, arguments.threads, rounds, load, results)
    print(report.summary(document), file=out)
    if arguments.json:
        text = json.dumps(document, indent=1) + "\n"
        if quiet:
            sys.stdout.write(text)
        else:
            with open(arguments.json, "w", encoding="utf-8") as file:
                file.write(text)
    if failed:
        print(f"failed: {', '.join(failed)}", file=out)
    elif not arguments.names and not arguments.quick and "torch" in frameworks:
        print(f"written: benchmarks/results/{report.keep(document)}", file=out)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
