"""What `taskd check` looks at; each module finds what is wrong in its own field, and mends nothing."""
