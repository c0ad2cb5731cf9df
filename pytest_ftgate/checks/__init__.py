"""The rules of a gate, each facts in and checks out. None of them calls a model."""
