from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from kneeage.study.figures import FigureText
from kneeage.study.page import few_sentences, method_sentences, missing_sentences, render_page
from kneeage.study.results import AuditFinding, AuditOutcome, SplitBy, StudyResults
from tests.study import tables
from tests.study.results import of_predictions, small

_FIGURES = (FigureText("roc", "ROC <curves>."), FigureText("curves", "Loss."))


@pytest.fixture
def page(tmp_path: Path) -> str:
    return _page(small(), tmp_path)


@pytest.fixture(scope="module")
def enough() -> StudyResults:
    """A study of as many subjects as the page has no warning for."""
    return of_predictions(tables.study(54, 36, folds=2, slices=2))


def _page(results: StudyResults, folder: Path) -> str:
    for text in _FIGURES:
        (folder / f"{text.name}.png").write_bytes(b"picture")
    return render_page(results, _FIGURES, folder)


def _plain(html: str) -> str:
    """The words of a page."""
    body = html[html.index("<body>") :]
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body))


class _Nesting(HTMLParser):
    """Checks that elements are closed in the order they were opened."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_elements_are_nested(page: str) -> None:
    nesting = _Nesting()
    nesting.feed(page)
    assert nesting.open == []


def test_the_page_loads_nothing(page: str) -> None:
    assert not re.search(r"<script|<link|@import|url\(", page)
    assert set(re.findall(r'src="([^,"]*)', page)) == {"data:image/png;base64"}


def test_every_value_is_escaped(tmp_path: Path) -> None:
    page = _page(small(name="<i>A & B</i>", reductions=("<b>fewer</b>",)), tmp_path)
    assert "<h1>&lt;i&gt;A &amp; B&lt;/i&gt;</h1>" in page
    assert "<b>fewer" not in page


def test_a_virtual_cohort_says_so(page: str) -> None:
    assert "No subject of this study is a person." in page
    assert "This study is no replication of it" in page


def test_the_world_s_sentence_stands_in_the_banner(page: str) -> None:
    banner = re.search(r'<p class="banner virtual">(.*?)</p>', page, re.DOTALL)
    assert banner is not None
    assert "Seven times tighter than biology." in banner[1]


def test_a_real_cohort_is_not_called_virtual(tmp_path: Path) -> None:
    page = _page(small(population="Adolescents of a coast", world=None, ceilings=()), tmp_path)
    assert "banner" not in page[page.index("<body>") :]
    assert "virtual" not in _plain(page)


def test_a_split_by_slice_is_labelled(tmp_path: Path) -> None:
    words = _plain(_page(small(split_by=SplitBy.SLICE), tmp_path))
    assert "Counter-example." in words
    assert "whatever subject they are of" in words
    assert "each subject with all its slices" not in words


def test_missing_folds_are_said(tmp_path: Path) -> None:
    words = _plain(_page(small(folds=4), tmp_path))
    assert "2 of 4 folds are not done yet" in words
    assert "Not done yet: fold 2, 3 of 4. Internal subjects of these folds have no predictions" in words
    leaky = _plain(_page(small(folds=4, split_by=SplitBy.SLICE), tmp_path))
    assert "Not done yet: fold 2, 3 of 4. Slices of these folds have no predictions" in leaky


def test_a_whole_study_misses_nothing(enough: StudyResults, tmp_path: Path) -> None:
    assert "Nothing: all 2 folds are done" in _plain(_page(enough, tmp_path))


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"reductions": ("One fold of five.",)}, "One fold of five."),
        ({"audit": ()}, "The leakage audit was not done."),
        ({"dice": ()}, "There is no Dice"),
        ({"logs": ()}, "There are no training logs"),
        ({"ceilings": ()}, "The ceiling of this virtual cohort was not computed."),
    ],
)
def test_what_is_missing_is_said(changed: dict[str, object], words: str) -> None:
    (sentence,) = missing_sentences(small(**changed))
    assert sentence.startswith(words)


def test_a_real_cohort_has_no_ceiling_to_miss() -> None:
    assert list(missing_sentences(small(ceilings=(), population="real"))) == []


def test_of_few_subjects_the_page_warns(enough: StudyResults, tmp_path: Path) -> None:
    (sentence,) = few_sentences(small())
    assert sentence.startswith(
        "The external group has 27 subjects. Below 30, intervals and macro averages carry little"
    )
    assert sentence in _plain(_page(small(), tmp_path))
    assert list(few_sentences(enough)) == []


def test_predictions_of_subjects_miss_slices() -> None:
    results = of_predictions(tables.study(54, 27, folds=2))
    assert list(missing_sentences(results)) == ["Predictions are of subjects alone; there are no numbers over slices."]


def test_an_audit_that_was_not_done_is_warned_of(tmp_path: Path) -> None:
    assert "Do not rely on any number of this page" in _page(small(audit=()), tmp_path)


def test_leakage_is_said_at_the_top(tmp_path: Path) -> None:
    found = AuditFinding("the same pixels under two subjects", AuditOutcome.FOUND, "3 pairs")
    words = _plain(_page(small(audit=(found,)), tmp_path))
    assert words.index("Leakage found. the same pixels under two subjects") < words.index("Summary")
    assert "3 pairs" in words


def test_tables_and_figures_are_numbered(page: str) -> None:
    tables_numbers = [int(number) for number in re.findall(r"<b>Table (\d+)\.</b>", page)]
    assert tables_numbers == list(range(1, len(tables_numbers) + 1))
    assert re.findall(r"<b>Figure (\d+)\.</b>", page) == ["1", "2"]


def test_the_swapped_rows_are_explained(page: str) -> None:
    assert "printed rows “sensitivity” and “specificity” are swapped" in page


def test_the_margin_is_said_to_be_fixed(page: str) -> None:
    assert "margin of 10 points, fixed before any study was run" in _plain(page)


def test_the_verdict_is_the_test_s(page: str) -> None:
    words = _plain(page)
    equivalent = small().assessment.equivalence.equivalent
    assert ("The groups are equivalent within the margin" in words) is equivalent
    assert ("Equivalence is not shown" in words) is not equivalent


def test_no_subject_is_named(page: str) -> None:
    assert not set(re.findall(r"\b[ie]\d+\b", _plain(page))) & set(small().predictions.subject_id)


def test_a_study_without_legal_ages_has_no_heading_for_them(tmp_path: Path) -> None:
    predictions = tables.study(54, 27, folds=2)
    assert "<h3>Legal ages</h3>" in _page(of_predictions(predictions), tmp_path)
    assessment = small().assessment
    nothing = {name: replace(getattr(assessment, name), thresholds=()) for name in ("internal", "external")}
    assert "Legal ages" not in _page(small(assessment=replace(assessment, **nothing)), tmp_path)


def test_what_was_done_in_small_is_said_at_the_top(page: str, tmp_path: Path) -> None:
    assert "Done in small." not in page
    words = _plain(_page(small(reductions=("One fold of five.",)), tmp_path))
    assert words.index("Done in small.") < words.index("Summary") < words.index("One fold of five.")


def test_the_share_of_the_ceiling_stands_in_the_summary(page: str) -> None:
    words = _plain(page)
    place = words.index("Internal: the completed year is told of")
    assert words.index("Summary") < place < words.index("1. Methods")
    assert re.search(r"which is [\d.]+ % \(95 % interval [\d.]+ to [\d.]+ %\) of what the best reader \(c\)", words)


def test_settings_are_told_in_sentences() -> None:
    sentences = list(method_sentences(small().settings))
    assert any("grey value times the probability" in sentence for sentence in sentences)
    assert sentences[-1] == (
        "Training of age model: AdamW, learning rate 0.001 to 0.0003 (exponential), batches of 8, 200 epochs."
    )


def test_the_model_that_is_not_used_is_not_told() -> None:
    fit = {"learning_rate": 0.001, "batch_size": 8, "max_steps": 10}
    settings = {"model": "end_to_end", "age_model": {"fit": fit, "inputs": "raw"}, "end_to_end": {"fit": fit}}
    first, second = method_sentences(settings)
    assert first.startswith("Whole slices go through a U-Net")
    assert second == "Training of end to end: AdamW, learning rate 0.001, batches of 8, at most 10 steps."


def test_presets_of_the_trainings_have_words() -> None:
    from kneeage.learn.presets import preset
    from kneeage.learn.settings import as_json_object

    for name in ("default", "paper"):
        sentences = list(method_sentences(as_json_object(preset(name))))
        assert len(sentences) > 2
        assert not any("?" in sentence for sentence in sentences)


def test_the_limits_name_what_the_paper_needs_of_biology(page: str) -> None:
    assert "needs a total error of age with an SD of 0.18 years or less" in page
    assert "(0.48 to 0.99 years) mean 31 to 54 %" in page
