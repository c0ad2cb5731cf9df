"""Run models over test sets: schedule and retry calls, and store every answer."""
