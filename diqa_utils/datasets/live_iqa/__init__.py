"""The database `live_iqa`."""
