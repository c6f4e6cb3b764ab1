"""The translation table is whole, and each language writes numbers and dates its own way."""

from __future__ import annotations

import json
import re
from importlib.resources import files
from string import Formatter
from typing import get_args

import pytest

from kneeage import pipeline
from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError
from kneeage.core.manifest import ConformalGroup, ReferenceRow
from kneeage.core.result import CovariateReport, ReasonCode, SummaryQuantity, ThresholdDecision
from kneeage.core.skeletal_stages import Dedouit, SchmelingKellinghaus
from kneeage.decide import conformal, interval, minimum_age, policy, statement
from kneeage.decide.policy import Limits
from kneeage.decide.prior_effect import PLAUSIBLE
from kneeage.infer.covariates import NOT_KNOWN, NOT_TAKEN
from kneeage.io.bundle import load_bundle
from kneeage.report.words import LANGUAGES, words

TABLE = json.loads(files("kneeage.report").joinpath("words.json").read_text(encoding="utf-8"))
SOURCES = [*files("kneeage.report").iterdir(), *files("kneeage.report").joinpath("templates").iterdir()]
CODE = "\n".join(source.read_text(encoding="utf-8") for source in SOURCES if source.name.endswith((".py", ".j2")))

GROUP = ConformalGroup(sexes=[Sex.MALE], open_upwards=False, low_years=8, high_years=26, scores=[0.5])
GROUPS = [{"open_upwards": o, "merged": m} for o in (True, False) for m in (True, False)]
REFERENCES = load_bundle().manifest.references
ROWS = [] if REFERENCES is None else [REFERENCES.rows[0], REFERENCES.rows[-1]]


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


def entries() -> list[tuple[str, dict[str, str]]]:
    return [*TABLE["texts"].items(), *((entry["en"], entry) for entry in TABLE["phrases"])]


def test_every_key_has_every_language() -> None:
    missing = [key for key, entry in entries() if set(entry) != set(LANGUAGES)]
    empty = [key for key, entry in entries() if not all(entry.values())]
    assert not missing
    assert empty == ["format.group", "format.sentence_gap"]


def test_every_language_has_the_same_placeholders() -> None:
    differing = [key for key, entry in entries() if placeholders(entry["en"]) != placeholders(entry["zh"])]
    assert differing == ["format.date"]


def test_every_key_that_the_room_asks_for_is_there() -> None:
    asked = set(re.findall(r"""say\(\s*["']([a-z_]+(?:\.[a-z_0-9]+)*)["']""", CODE))
    assert len(asked) > 60
    assert not asked - set(TABLE["texts"])


def test_no_key_is_left_over() -> None:
    stems = {key.rpartition(".")[0] for key in TABLE["texts"]}
    built = {stem for stem in stems if re.search(rf"""["']{stem}\.(\{{|'|")""", CODE)}
    spare = {key for key in TABLE["texts"] if key not in CODE and key.rpartition(".")[0] not in built}
    assert not spare


def test_chinese_words_hold_chinese_punctuation() -> None:
    texts = [entry["zh"] for key, entry in entries() if not key.startswith("format.")]
    assert not [text for text in texts if re.search(r"[一-鿿][,;:()]|[,;:(][一-鿿]", text)]


def test_the_workstation_says_the_same_in_chinese() -> None:
    pages = json.loads(files("kneeage").joinpath("web", "static", "words.json").read_text(encoding="utf-8"))
    said: dict[str, set[str]] = {}
    for _, entry in entries():
        said.setdefault(entry["en"].lower(), set()).add(entry["zh"])
    shared = [entry for entry in pages.values() if entry["en"].lower() in said]
    assert len(shared) > 50
    differing = {entry["en"].lower() for entry in shared if entry["zh"] not in said[entry["en"].lower()]}
    # A step, the pictures, a bare decision and an age with its unit: other things than the report calls so.
    assert differing == {"question", "slices", "below", "at least {age}"}


def test_an_unknown_language_is_refused() -> None:
    with pytest.raises(UsageError, match="en or zh; found 'fr'"):
        words("fr")


@pytest.mark.parametrize(
    ("lang", "number", "date"),
    [("en", "12,345.7", "5 March 2025, 09:07 UTC"), ("zh", "12345.7", "2025年3月5日 09:07（UTC）")],
)
def test_numbers_and_dates_are_written_per_language(lang: str, number: str, date: str) -> None:
    say = words(lang)
    assert say.number(12345.67) == number
    assert say.date("2025-03-05T09:07:30+00:00") == date


@pytest.mark.parametrize(
    ("age_years", "text"), [(12.25, "12.3"), (12.75, "12.8"), (13.25, "13.3"), (12.35, "12.4"), (12.2499, "12.2")]
)
def test_middles_of_bins_are_rounded_half_up(age_years: float, text: str) -> None:
    assert [words(lang).number(age_years) for lang in LANGUAGES] == [text, text]
    assert words("en").years(age_years) == f"{text} years"


def test_a_date_of_another_zone_is_given_in_utc() -> None:
    assert words("en").date("2025-03-05T01:00:00+02:00") == "4 March 2025, 23:00 UTC"


def test_text_that_is_no_date_stays() -> None:
    assert words("en").date("yesterday") == "yesterday"


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.0, "< 0.1 %"), (0.0004, "< 0.1 %"), (0.4567, "45.7 %"), (0.9999, "> 99.9 %"), (1.0, "> 99.9 %")],
)
def test_no_probability_is_written_as_sure(share: float, text: str) -> None:
    assert words("en").probability(share) == text


@pytest.mark.parametrize(
    ("items", "text"), [([], ""), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_lists_are_joined(items: list[str], text: str) -> None:
    assert words("en").listing(items) == text


def test_a_sentence_of_another_room_is_translated_with_its_parts() -> None:
    sentence = "the slices are sagittal; the bundle K answers on coronal slices"
    assert words("zh").phrase(sentence) == "该序列为矢状面；模型包 K 适用于冠状面"
    assert words("en").phrase(sentence) == sentence


@pytest.mark.parametrize(
    "sentence",
    [
        pipeline.VIRTUAL_WARNING,
        pipeline.SEX_WARNING,
        pipeline.SIDE_WARNING.format(stated="left", seen="right"),
        pipeline.WEIGHTING_WARNING.format(weighting="PD"),
        pipeline.FAT_WARNING,
        pipeline.UNCALIBRATED_WARNING,
        statement.LAST_BIN_WARNING,
        statement.FIRST_BIN_WARNING,
        statement.APART_WARNING,
        statement.CLOSED_WARNING,
        pipeline.STRAY_WARNING.format(bone="distal femur", volume=239),
        policy.VIRTUAL_REASON,
        policy.UNTUNED_REASON,
        *(policy._by_probability(p, Limits(0.99, 0.01, c))[1] for p in (0.0, 0.5, 1.0) for c in (True, False)),
        policy._by_probability(0.5, Limits(None, 0.01, calibrated=True))[1],
        policy._by_probability(0.5, Limits(0.99, 0.01, calibrated=True), policy._BASIS_WITHOUT_BODY)[1],
        policy._by_probability(0.5, Limits(None, 0.01, calibrated=True), policy._BASIS_WITHOUT_BODY)[1],
        *(policy.NO_RULE_REASON.format(sex=sex) for sex in ("not given", "female")),
        conformal.UNCALIBRATED_WARNING,
        conformal.MERGED_WARNING,
        *(conformal._method(GROUP.model_copy(update=changes), virtual=v) for changes in GROUPS for v in (True, False)),
        minimum_age.MISSING_WARNING,
        statement.WINDOWS_WARNING.format(windows="14-18:18-22"),
        *(interval._method(subjects, virtual=virtual) for subjects in (0, 200) for virtual in (True, False)),
    ],
)
def test_what_other_rooms_say_is_known_in_chinese(sentence: str) -> None:
    assert not re.search(r"[a-z]{3}", words("zh").phrase(sentence))


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("youngest_years", [8.1, 16.0])
@pytest.mark.parametrize("was_chosen", [True, False])
def test_whom_a_minimum_age_comes_from_is_known_in_chinese(
    row: ReferenceRow, youngest_years: float, was_chosen: bool
) -> None:
    assert REFERENCES is not None
    youngest = row.model_copy(update={"youngest_years": youngest_years})
    sentence = minimum_age._definition(REFERENCES, youngest, was_chosen=was_chosen)
    assert not re.search(r"[a-z]{3}", words("zh").phrase(sentence).replace("Dedouit", ""))


@pytest.mark.parametrize(
    "sentence",
    [
        "T1-weighted (spin echo, TR 581 ms, TE 20 ms, acquisition contrast T1)",
        "weighting unclear (TR or TE is not stated)",
        "weighting unclear (gradient echo, TR 20 ms, TE 5 ms, flip angle not stated)",
        "T2-weighted, not T1 (echo planar imaging)",
        "T2-weighted, not T1 (refocused gradient echo, TR 20 ms, TE 5 ms)",
        "PD-weighted, not T1 (gradient echo, TR 20 ms, TE 5 ms, flip angle 5 degrees)",
        "body part HEAD, not a knee",
    ],
)
def test_why_a_series_was_chosen_is_known_in_chinese(sentence: str) -> None:
    assert not re.search(r"[a-z]{3}", words("zh").phrase(sentence))


@pytest.mark.parametrize("sentence", ["something new", "a mosaic; send the unpacked slices"])
def test_a_sentence_that_nobody_knows_stays(sentence: str) -> None:
    assert words("zh").phrase(sentence) == sentence


def test_braces_in_a_sentence_do_no_harm() -> None:
    assert words("zh").phrase("the {x} was not seen") == "未显示{x}"


@pytest.mark.parametrize(
    "key", [*(f"dedouit.{s.value}" for s in Dedouit), *(f"schmeling.{s.value}" for s in SchmelingKellinghaus)]
)
def test_every_stage_has_a_definition(key: str) -> None:
    assert f"stage.{key}" in TABLE["texts"]


def test_every_coded_value_has_its_words() -> None:
    covariates = get_args(CovariateReport.model_fields["name"].annotation)
    coded = [
        *(f"quantity.{one.value}" for one in SummaryQuantity),
        *(f"decision.{one.value}" for one in ThresholdDecision),
        *(f"{word}.{one.value}" for one in ReasonCode for word in ("reason", "advice")),
        *(f"covariate.{name}" for name in covariates),
    ]
    assert not set(coded) - set(TABLE["texts"])


@pytest.mark.parametrize("sentence", [PLAUSIBLE.name, NOT_KNOWN, NOT_TAKEN, "uniform:8-26"])
def test_priors_and_covariates_are_known_in_chinese(sentence: str) -> None:
    assert re.search(r"[一-鿿]", words("zh").phrase(sentence))
