"""Facts as the age network takes them."""

from __future__ import annotations

import torch

from kneeage.learn.fact_input import FactInput, drop_facts, fact_names
from kneeage.learn.settings import AgeModelSettings

NAMES = fact_names(AgeModelSettings(facts=("height", "sequence", "plates")))


def test_the_sex_comes_first_and_then_the_facts_of_the_settings() -> None:
    assert NAMES[:4] == ("sex", "height_cm", "height_known", "sequence_t1")
    assert fact_names(AgeModelSettings()) == ("sex",)


def test_facts_are_standardised_and_the_unknown_is_nothing() -> None:
    raw = torch.zeros(2, len(NAMES))
    raw[0, :3] = torch.tensor([1.0, 173.0, 1.0])
    raw[1, NAMES.index("femur_thickness_mm")] = 3.0
    found = FactInput(NAMES)(raw)
    assert found[0, :3].tolist() == [1, 1, 1]
    assert found[1, :3].tolist() == [0, 0, 0]
    assert found[1, NAMES.index("femur_thickness_mm")] == 2


def test_what_may_be_missing_is_withheld_group_by_group() -> None:
    torch.manual_seed(0)
    kept = drop_facts(torch.ones(400, len(NAMES)), NAMES, 0.25)
    for name in ("sex", "femur_openness", "tibia_thickness_mm"):
        assert kept[:, NAMES.index(name)].min() == 1
    for first, second in (("height_cm", "height_known"), ("sequence_t1", "sequence_t2")):
        columns = kept[:, NAMES.index(first)], kept[:, NAMES.index(second)]
        torch.testing.assert_close(*columns)
        assert 0.65 < columns[0].mean() < 0.85
    assert torch.equal(drop_facts(torch.ones(3, 1), ("sex",), 1.0), torch.ones(3, 1))
