"""Noisy loads with and without a leak, and whether the daemon suspects them.

    python -m benchmarks.leaks --runs 4

Each run is a process of its own: 25 greenlets run five tasks in random order, and beside them the
real parts look on: what a worker tells of itself, the trend, and the question before the verdict.
The leak, if there is one, is 10 KB in the third task, which is a fifth of the jobs.
"""
