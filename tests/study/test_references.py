"""Reference subjects by stage."""

from __future__ import annotations

import numpy as np

from kneeage.core.anatomy import Sex
from kneeage.study.references import Graded, fit_references


def test_each_finding_has_its_youngest_and_its_quantile() -> None:
    ages = np.linspace(16, 25, 250)
    subjects = [Graded(float(age), Sex.MALE, "V", "V") for age in ages]
    subjects += [Graded(15.0 + 0.1 * place, Sex.FEMALE, "IV", "V") for place in range(50)]
    found = fit_references(subjects, system="dedouit", population="virtual", ages_years=(8, 26))
    female, male = found.rows
    assert (found.system, found.population, found.low_years, found.high_years) == ("dedouit", "virtual", 8, 26)
    assert (male.sex, male.distal_femur, male.n, male.youngest_years) == (Sex.MALE, "V", 250, 16.0)
    assert male.quantile_years == ages[2]
    assert (female.n, female.youngest_years, female.quantile_years) == (50, 15.0, None)
