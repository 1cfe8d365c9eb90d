"""The code of docs/how-to/hooks.md."""
