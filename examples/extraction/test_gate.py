"""Green: the fine-tuned model fills more slots right than the prompted one, and most of its answers can be used."""

import pytest


@pytest.mark.ftgate("commands")
def test_fine_tune_is_worth_it(): ...
