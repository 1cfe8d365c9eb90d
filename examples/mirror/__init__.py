"""Mirror a Python package index into a folder: IO in greenlets, CPU work in processes."""
