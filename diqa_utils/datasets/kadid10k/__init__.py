"""The database `kadid10k`."""
