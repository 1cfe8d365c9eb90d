"""Whether the dashboard stays quick on a large system, and what it costs to look at it."""
