"""How much worse the candidate may be: on other test sets, on parts of this one, and in all."""
