"""taskd itself."""
