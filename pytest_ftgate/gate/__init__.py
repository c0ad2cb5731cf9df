"""The use case: read inputs, run models, reach the verdict."""
