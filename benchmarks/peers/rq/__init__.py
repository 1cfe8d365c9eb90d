"""rq: Redis, a process a job at a time."""
