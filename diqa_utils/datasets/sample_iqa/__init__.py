"""The sample database `sample_iqa`."""
