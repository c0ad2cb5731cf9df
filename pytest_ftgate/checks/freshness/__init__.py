"""Whether it is time to train again: the last green verdict, and what has moved since."""
