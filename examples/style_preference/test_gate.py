"""Passes: three raters clearly prefer the answers of the fine-tuned model."""

import pytest


@pytest.mark.ftgate("replies")
def test_people_prefer_the_house_style(): ...
