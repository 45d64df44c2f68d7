"""The database `csiq`."""
