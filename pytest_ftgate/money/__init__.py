"""What models cost and save. What is not known is unknown, and never zero."""
