"""procrastinate: PostgreSQL, asyncio."""
