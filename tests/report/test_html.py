"""The report is one file, says what it must, escapes what it is given, and reads in two languages."""

from __future__ import annotations

import re
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from kneeage.core.result import Outcome, Result
from kneeage.core.volume import Volume
from kneeage.report.html import render_html
from kneeage.report.panels import Shown
from kneeage.report.words import words
from tests.report.rich import backing, rich_result

HOSTILE = '<script>alert("1")</script><img src=http://example.org/x>'


class Page(HTMLParser):
    """The tags, attributes and visible words of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href", "xlink:href", "action")]

    def handle_data(self, data: str) -> None:
        self.words += data


@pytest.fixture
def render(shown: Shown) -> Callable[..., Page]:
    return lambda result, lang="en": Page(render_html(result, shown, lang))


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_file_holds_everything_and_loads_nothing(estimated: Result, shown: Shown, lang: str) -> None:
    text = render_html(estimated, shown, lang)
    page = Page(text)
    assert all(address.startswith("data:image/png;base64,") for address in page.addresses)
    assert len(page.addresses) == 6
    assert not {"script", "link", "iframe", "object", "form"} & set(page.tags)
    assert "@import" not in text
    assert "url(" not in text
    assert not re.search(r"\son\w+=", text)


def test_the_report_says_what_a_report_must_say(estimated: Result, render: Callable[..., Page]) -> None:
    said = render(estimated).words
    for needed in (
        "DRAFT, not signed",
        "Most probable age 16.5 years",
        "One method alone must never decide an age",
        "Must not be used",
        "Trained on a virtual cohort, demonstration only, not for forensic use.",
        "VIRTUAL · DEMONSTRATION",
        "At least 18?",
        "§ 42f",
        "15.5 years",
        "ab" * 32,
        "cd" * 32,
        "T1 TSE COR",
        "not given by this bundle",
        "ages 18–20 against 16–18",
        "uniform:8-26",
        "the series looks fat-suppressed",
        "virtual-knee 0.1.0",
        "22 November 2025, 16:21 UTC",
        "Second reader",
    ):
        assert needed in said


def test_every_printed_page_is_a_draft_of_one_image(estimated: Result, shown: Shown) -> None:
    text = render_html(estimated, shown, "en")
    assert f'@bottom-left {{ content: "DRAFT, not signed · kneeage 0.1.0 · image {"ab" * 8}"' in text


def test_the_summary_comes_before_any_table(estimated: Result, shown: Shown) -> None:
    text = render_html(estimated, shown, "en")
    assert text.index("Most probable age 16.5 years;") < text.index("<table")


def test_the_chinese_report_is_chinese(estimated: Result, render: Callable[..., Page]) -> None:
    said = render(estimated, "zh").words
    for needed in (
        "草稿，未签署",
        "最可能年龄为16.5岁",
        "不得仅凭任何单一方法认定年龄",
        "仅供演示",
        "2025年11月22日",
        "冠状面",
    ):
        assert needed in said
    english = set(words("en").texts.values()) - set(words("zh").texts.values())
    assert not [text for text in english if "{" not in text and len(text) > 12 and text in said]


def test_what_comes_from_outside_is_escaped(changed: Callable[..., Result], render: Callable[..., Page]) -> None:
    result = changed()
    assert result.series is not None
    series = result.series.model_copy(
        update={"description": HOSTILE, "manufacturer": HOSTILE, "rank_reasons": [HOSTILE]}
    )
    subject = result.subject.model_copy(update={"question": HOSTILE, "legal_basis": HOSTILE})
    page = render(changed(series=series, subject=subject, warnings=[HOSTILE]))
    assert "script" not in page.tags
    assert not any("example.org" in address for address in page.addresses)
    assert page.words.count(HOSTILE) == 6


def test_an_abstention_shows_its_reasons_and_no_number(abstained: Result, render: Callable[..., Page]) -> None:
    page = render(abstained)
    assert "No age is given. The software abstained" in page.words
    assert "The site of a growth plate was not seen" in page.words
    assert "the proximal tibia was seen, but not the site of its growth plate" in page.words
    assert "Probability of each age" not in page.words
    assert "Most probable age" not in page.words
    assert "Age limits" not in page.words


def test_an_image_without_labels_is_shown_alone(abstained: Result, unlabelled: Shown) -> None:
    page = Page(render_html(abstained, unlabelled, "en"))
    assert len(page.addresses) == 3
    assert "with outlines" not in page.words


def test_a_report_without_image_says_so(abstained: Result) -> None:
    refused = abstained.model_copy(
        update={"outcome": Outcome.REFUSED, "series": None, "quality": None, "software": None}
    )
    assert "No image can be shown." in Page(render_html(refused, None, "en")).words


def test_a_bundle_of_real_subjects_carries_no_watermark(
    changed: Callable[..., Result], render: Callable[..., Page]
) -> None:
    bundle = changed().bundle
    assert bundle is not None
    said = render(changed(bundle=bundle.model_copy(update={"population": "hospital A"}))).words
    assert "VIRTUAL" not in said
    assert "demonstration" not in said
    assert "benefit of the doubt" in said


@pytest.mark.parametrize("lang", ["en", "zh"])
def test_the_fullest_report_shows_all_there_is(estimated: Result, labels: Volume, shown: Shown, lang: str) -> None:
    page = Page(render_html(rich_result(estimated), shown, lang, backing(labels)))
    say = words(lang)
    assert len(page.addresses) == 3 * 3 + 3
    for key in (
        "errors.heading",
        "images.heat",
        "reference.virtual",
        "population.outside",
        "sign.second",
        "heat.scale",
    ):
        assert say(key) in page.words
    assert say("heat.most", moved="0.80", years=say.years(1.6)) in page.words
    assert "Dr. Example, radiology" in page.words
    assert "by the subject and the guardian, in writing" in page.words
    assert say("reference.missing") not in page.words


def test_knees_of_real_people_are_not_called_computer_generated(
    estimated: Result, labels: Volume, shown: Shown
) -> None:
    rich = rich_result(estimated)
    assert rich.bundle is not None
    real = rich.model_copy(update={"bundle": rich.bundle.model_copy(update={"population": "hospital A"})})
    said = Page(render_html(real, shown, "en", backing(labels))).words
    assert "Typical knees of the population" in said
    assert "Computer-generated" not in said


def test_a_bundle_without_reference_knees_is_said_to_have_none(
    estimated: Result, abstained: Result, render: Callable[..., Page]
) -> None:
    missing = words("en")("reference.missing")
    assert missing in render(estimated).words
    assert missing not in render(abstained).words


def test_the_explanation_of_an_image_without_labels_is_the_second_picture(
    abstained: Result, labels: Volume, unlabelled: Shown
) -> None:
    text = render_html(abstained, unlabelled, "en", backing(labels))
    assert "with what moves the answer" in text
    assert "with the outlines" not in text


def test_the_document_stays_a_draft_until_both_have_signed(estimated: Result, render: Callable[..., Page]) -> None:
    assert "until the examiner and a second reader" in render(estimated).words


def test_a_missing_explanation_map_is_said(
    estimated: Result, abstained: Result, labels: Volume, render: Callable[..., Page], shown: Shown
) -> None:
    said = "This report holds no explanation map"
    assert said in render(estimated).words
    assert said not in render(abstained).words
    assert said not in render_html(estimated, shown, "en", backing(labels))
