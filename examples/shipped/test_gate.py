"""All pass: the adapter is worth it, and the merged and the served weights answer as it does."""

import pytest


@pytest.mark.ftgate("fine_tune")
def test_adapter_is_worth_it(): ...


@pytest.mark.ftgate("merged")
def test_merged_weights_answer_as_the_adapter(): ...


@pytest.mark.ftgate("served")
def test_served_weights_answer_as_the_adapter(): ...
