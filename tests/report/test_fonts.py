"""Which typeface letters a picture."""

from __future__ import annotations

import pytest
from PIL import ImageFont

from kneeage.report import fonts


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_args: object, **_kwargs: object) -> None:
        raise OSError("cannot open resource")

    monkeypatch.setattr(ImageFont, "truetype", missing)
    fonts.chinese_font.cache_clear()
    monkeypatch.setattr(fonts, "chinese_font", fonts.chinese_font.__wrapped__)


@pytest.mark.usefixtures("no_fonts")
def test_without_a_chinese_typeface_pictures_are_lettered_in_english() -> None:
    assert fonts.picture_lang("zh") == "en"
    assert fonts.picture_lang("en") == "en"


def test_a_chinese_typeface_of_the_machine_is_used() -> None:
    if fonts.chinese_font() is None:
        pytest.skip("no Chinese typeface on this machine")
    assert fonts.picture_lang("zh") == "zh"
    assert fonts.font_for("zh", 20) is not None
