"""taskd beside its peers: the harness (`make bench-peers`, `python -m benchmarks.contest`).

cases/        what is measured, a module a sense
bench.py      one system set up for one measurement: its store, its client, its workers
stores.py     a database or a Redis of its own, and what they count
environments  a virtual environment a peer, in a cache outside of the repository
tally.py      what the jobs themselves have counted
run.py        all cases, runs and systems, in turns
report.py     medians, spread and ratios as one table, and as JSON
"""
