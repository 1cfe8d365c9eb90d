"""celery: Redis, gevent."""
