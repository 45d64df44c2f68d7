"""The database `folder_iqa`."""
