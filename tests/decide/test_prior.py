"""Prior age distributions."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from kneeage.core.errors import UsageError
from kneeage.decide.prior import Prior, fit_prior, parse_prior, table_sha256, training_prior, uniform_prior
from tests.infer.knees import manifest

EDGES = [float(age) for age in range(8, 27)]


def csv_file(folder: Path, text: str) -> str:
    path = folder / "prior.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_a_uniform_prior_is_parsed() -> None:
    prior = parse_prior("uniform:8-26")
    assert (prior.name, prior.low_years, prior.high_years) == ("uniform:8-26", 8, 26)
    assert prior == uniform_prior(8, 26)


@pytest.mark.parametrize("text", ["uniform:", "uniform:a-b", "uniform:8", "uniform:8-26-30"])
def test_a_uniform_prior_that_is_not_understood(text: str) -> None:
    with pytest.raises(UsageError, match="is not understood; give uniform:LOW-HIGH"):
        parse_prior(text)


@pytest.mark.parametrize("text", ["uniform:26-8", "uniform:8-8", "uniform:0-inf", "uniform:0-nan"])
def test_a_uniform_prior_out_of_order(text: str) -> None:
    with pytest.raises(UsageError, match="must have 0 <= LOW < HIGH"):
        parse_prior(text)


def test_a_file_gives_straight_lines(tmp_path: Path) -> None:
    prior = parse_prior(csv_file(tmp_path, "age_years,weight\n10,0\n14,4\n18,0\n"))
    assert prior.name == "prior.csv"
    np.testing.assert_allclose(prior.masses([10, 11, 12, 14, 18]), [0.5, 1.5, 6, 8])


def test_a_file_may_have_more_columns_and_a_byte_order_mark(tmp_path: Path) -> None:
    prior = parse_prior(csv_file(tmp_path, "\ufeffn,weight,age_years\nx,1,10\ny,3,12\n"))
    assert prior.ages_years == (10, 12)
    assert prior.weights == (1, 3)


def test_spans_without_weight_are_outside() -> None:
    prior = Prior("p", (8, 10, 12, 14, 16, 18), (0, 0, 0, 1, 0, 0))
    assert (prior.low_years, prior.high_years) == (12, 16)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a known form nor a readable file"):
        parse_prior(str(tmp_path / "none.csv"))


@pytest.mark.parametrize(
    "text", ["", "age,weight\n8,1\n9,1\n", "age_years,weight\n8\n", "age_years,weight\n8,x\n9,1\n"]
)
def test_a_file_without_the_columns(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match=r"two columns of numbers|at least two ages"):
        parse_prior(csv_file(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("age_years;weight\n8;1\n9;1\n", 1),
        ("age_years,weight\n8,1\n9;1\n", 3),
        ("age_years,weight\n\n8,5;1\n", 3),
    ],
)
def test_semicolons_are_named_with_their_line(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(UsageError, match=rf"^line {line} of the prior file 'prior\.csv' has semicolons; commas are"):
        parse_prior(csv_file(tmp_path, "\ufeff" + text))


def test_a_line_without_numbers_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two columns of numbers, age_years,weight; line 4 has not"):
        parse_prior(csv_file(tmp_path, "age_years,weight\n8,1\n9,1\n10\n"))


def test_semicolons_of_another_column_do_not_matter(tmp_path: Path) -> None:
    prior = parse_prior(csv_file(tmp_path, "\ufeffage_years,weight,source\n8,1,a;b\n\n9,2,\n"))
    assert (prior.ages_years, prior.weights) == ((8, 9), (1, 2))


def test_a_file_that_is_no_table(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="two columns of numbers"):
        parse_prior(csv_file(tmp_path, "age_years,weight\n" + "8" * 200_000 + ",1\n"))


def test_a_file_of_other_bytes(tmp_path: Path) -> None:
    path = tmp_path / "prior.csv"
    path.write_bytes(b"\xff\xfe\x00\x01\xff")
    with pytest.raises(UsageError, match="two columns of numbers"):
        parse_prior(str(path))


@pytest.mark.parametrize("rows", ["8,1\n", "9,1\n8,1\n", "8,1\n8,1\n", "-1,1\n8,1\n", "nan,1\n9,1\n"])
def test_ages_that_do_not_rise(tmp_path: Path, rows: str) -> None:
    with pytest.raises(UsageError, match="at least two ages, from 0 years on"):
        parse_prior(csv_file(tmp_path, f"age_years,weight\n{rows}"))


@pytest.mark.parametrize("rows", ["8,0\n9,0\n", "8,-1\n9,1\n", "8,inf\n9,1\n", "8,nan\n9,1\n"])
def test_weights_that_make_no_distribution(tmp_path: Path, rows: str) -> None:
    with pytest.raises(UsageError, match="weights that are not negative"):
        parse_prior(csv_file(tmp_path, f"age_years,weight\n{rows}"))


def test_a_prior_on_the_grid_is_normalised() -> None:
    fitted = fit_prior(uniform_prior(8, 26), EDGES)
    assert fitted.edges_years == tuple(EDGES)
    np.testing.assert_allclose(fitted.masses, 1 / 18)
    assert fitted.first_bin == 0
    assert fitted.warnings == ()


def test_a_prior_inside_the_grid_keeps_its_own_ends() -> None:
    fitted = fit_prior(uniform_prior(10.5, 12.25), EDGES)
    assert fitted.edges_years == (10.5, 11, 12, 12.25)
    np.testing.assert_allclose(fitted.masses, np.array([0.5, 1, 0.25]) / 1.75)
    assert fitted.first_bin == 2
    assert fitted.warnings == ()


@pytest.mark.parametrize(("low", "high"), [(4, 20), (10, 40), (0, 99)])
def test_a_prior_that_reaches_outside_is_cut_and_said(low: float, high: float) -> None:
    fitted = fit_prior(uniform_prior(low, high), EDGES)
    assert fitted.edges_years[0] == max(low, 8)
    assert fitted.edges_years[-1] == min(high, 26)
    assert sum(fitted.masses) == pytest.approx(1)
    assert f"covers {low} to {high} years" in fitted.warnings[0]


@pytest.mark.parametrize(
    "prior",
    [uniform_prior(2, 8), uniform_prior(26, 40), Prior("gap", (2, 5, 7, 30, 31, 40), (1, 1, 0, 0, 1, 1))],
    ids=["below", "above", "gap"],
)
def test_a_prior_beside_the_grid_is_refused(prior: Prior) -> None:
    with pytest.raises(UsageError, match="share no age"):
        fit_prior(prior, EDGES)


def test_the_training_prior_is_uniform_over_age_unless_stored() -> None:
    uneven = manifest(age_edges_years=[8.0, 10.0, 11.0, 26.0])
    np.testing.assert_allclose(training_prior(uneven).masses, np.array([2, 1, 15]) / 18)
    stored = manifest(age_edges_years=[8.0, 10.0, 11.0, 26.0], training_prior=[1.0, 0.0, 3.0])
    assert training_prior(stored).masses == (0.25, 0, 0.75)
    assert training_prior(stored).edges_years == (8, 10, 11, 26)


def test_what_the_result_keeps_makes_the_same_prior_again(tmp_path: Path) -> None:
    first = fit_prior(parse_prior(csv_file(tmp_path, "age_years,weight\n4.1,0\n14.25,4\n30,1e-3\n")), EDGES)
    kept = first.report()
    assert (kept.name, kept.low_years, kept.high_years, kept.is_flat) == ("prior.csv", 8, 26, False)
    lines = "".join(f"{row.age_years},{row.weight}\n" for row in kept.rows)
    assert fit_prior(parse_prior(csv_file(tmp_path, f"age_years,weight\n{lines}")), EDGES) == first


def test_a_range_keeps_its_ends_and_is_flat() -> None:
    kept = fit_prior(uniform_prior(4, 30), EDGES).report()
    assert [(row.age_years, row.weight) for row in kept.rows] == [(4, 1), (30, 1)]
    assert kept.is_flat


def test_a_table_is_hashed_as_a_file_of_it(tmp_path: Path) -> None:
    path = Path(csv_file(tmp_path, "age_years,weight\n8.0,1.0\n14.5,0.25\n"))
    assert table_sha256([(8, 1), (14.5, 0.25)]) == hashlib.sha256(path.read_bytes()).hexdigest()
