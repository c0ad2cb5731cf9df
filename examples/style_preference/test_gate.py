"""Green: three people prefer the answers of the fine-tuned model clearly more often than not."""

import pytest


@pytest.mark.ftgate("replies")
def test_people_prefer_the_style_of_the_house(): ...
