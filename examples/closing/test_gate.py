"""Passes: the successor is proven not to be worse than the hosted fine-tune, and it is cheaper."""

import pytest


@pytest.mark.ftgate("successor")
def test_successor_may_replace_the_hosted_model(): ...
