"""The database `biq2021`."""
