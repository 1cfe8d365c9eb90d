"""dramatiq: Redis, gevent."""
