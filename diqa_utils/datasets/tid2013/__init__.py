"""The database `tid2013`."""
