"""The database `tid2008`."""
