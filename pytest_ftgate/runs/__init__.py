"""Models over test sets: who is asked what and when, how failures are met, and where every answer is kept."""
