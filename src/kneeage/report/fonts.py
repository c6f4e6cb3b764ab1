"""The typefaces of the pictures: one that Pillow carries, and one of the machine's for Chinese."""

from __future__ import annotations

from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

# File names of common typefaces with simplified Chinese, and the place of that face in the file.
_CHINESE_FONTS = (
    ("NotoSansCJK-Regular.ttc", 2),
    ("NotoSansSC-Regular.otf", 0),
    ("SourceHanSansSC-Regular.otf", 0),
    ("wqy-microhei.ttc", 0),
    ("wqy-zenhei.ttc", 0),
    ("DroidSansFallbackFull.ttf", 0),
    ("msyh.ttc", 0),
    ("simsun.ttc", 0),
    ("PingFang.ttc", 0),
    ("Hiragino Sans GB.ttc", 0),
    ("STHeiti Light.ttc", 0),
)


@cache
def chinese_font() -> tuple[str, int] | None:
    """Find a typeface with Chinese characters on this machine: its file and the face in it, or None."""
    for file, index in _CHINESE_FONTS:
        try:
            ImageFont.truetype(file, 12, index=index)
        except OSError:
            continue
        return file, index
    return None


def font_for(lang: str, size: int) -> Font:
    """Give a typeface that can write the language at a size in pixels.

    Chinese needs a typeface of the machine; ``picture_lang`` says whether there is one.
    """
    found = chinese_font() if lang == "zh" else None
    if found is None:
        return ImageFont.load_default(size)
    return ImageFont.truetype(found[0], size, index=found[1])


def picture_lang(lang: str) -> str:
    """Give the language that a picture can be lettered in: English where no Chinese typeface is found."""
    return "en" if lang == "zh" and chinese_font() is None else lang
