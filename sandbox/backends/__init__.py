"""One module per backend: its files, its process, and what must happen before it counts as ready."""
