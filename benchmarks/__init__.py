"""What flambeau costs, measured beside torch and NumPy on the same code: `python -m benchmarks`.

Here are the cases, the clock and the report. What checks that results are right lives in `tests`.
`python -m benchmarks.housing` is another measurement: how good the models of `flambeau train` are.
`python -m benchmarks.roofline` measures what the machine can do at most, `python -m benchmarks.operations` what share
of it operations reach, `python -m benchmarks.contractions` matrix products of random sizes and layouts.
"""
