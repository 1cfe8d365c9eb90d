"""A shop with a leak, made on purpose: taskd finds it, and lives with it."""
