"""Training on the ratings of people, and the studies of it."""
