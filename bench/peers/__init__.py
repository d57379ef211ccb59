"""The neighbours that are measured beside the embedded store, each with its best schema."""
