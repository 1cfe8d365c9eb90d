"""pgqueuer: PostgreSQL, asyncio."""
