"""The report as PDF, made by WeasyPrint from the HTML of the report; it comes with the extra ``pdf``."""

from __future__ import annotations

import logging
from typing import Any

from kneeage.core.errors import UsageError
from kneeage.report.fonts import chinese_font

# What a report may load: pictures that it holds itself.
_PROTOCOLS = ("data",)
_REMEDY = (
    "install it with: pip install 'kneeage[pdf]', and the library Pango "
    "(Debian and Ubuntu: apt-get install libpangoft2-1.0-0)"
)


def require_pdf(lang: str) -> None:
    """Check, before any work is done, that a PDF in this language can be made here.

    Args:
        lang: Language of the report.

    Raises:
        UsageError: WeasyPrint or one of the system's libraries that it needs is missing, or there is no typeface for
            Chinese.
    """
    _weasyprint()
    if lang == "zh" and chinese_font() is None:
        raise UsageError(
            "a PDF in Chinese needs a typeface with Chinese characters, and none was found; install Noto Sans CJK "
            "(Debian and Ubuntu: apt-get install fonts-noto-cjk)"
        )


def pdf_bytes(page: str) -> bytes:
    """Print the report.

    Args:
        page: The report's HTML, which holds everything it shows.

    Returns:
        The bytes of a PDF file; its typefaces are embedded.

    Raises:
        UsageError: WeasyPrint or one of the system's libraries that it needs is missing.
    """
    weasyprint = _weasyprint()
    fetcher = weasyprint.urls.URLFetcher(allowed_protocols=_PROTOCOLS)
    written: bytes = weasyprint.HTML(string=page, url_fetcher=fetcher).write_pdf(pdf_tags=True)
    return written


def _weasyprint() -> Any:
    """Load the library; its own talk about style rules is nobody's business."""
    try:
        import weasyprint
    except (ImportError, OSError) as error:
        found = type(error).__name__
        raise UsageError(f"a PDF needs WeasyPrint, which cannot be loaded here ({found}); {_REMEDY}") from None
    logging.getLogger("weasyprint").setLevel(logging.ERROR)
    return weasyprint
