"""huey: Redis or PostgreSQL, gevent."""
