"""What `taskd check` looks at: each module finds the faults of its own field, and mends nothing."""
