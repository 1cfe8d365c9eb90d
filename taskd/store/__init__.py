"""What is in the database, and every statement that taskd sends there.

One short function a statement; it takes a connection and shares its name with the SQL function it
calls (`claim_jobs` calls `taskd.claim_jobs_v1`). The schema and those functions stand, explained,
in `migrations/`.
"""
