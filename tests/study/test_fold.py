"""Parts of a fold: logs that are thinned, slices that are dealt out, plates that are measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from kneeage.core.errors import UsageError
from kneeage.learn.data import SubjectRegions, load_regions, save_regions
from kneeage.study import fold
from kneeage.study.fold import thinned
from kneeage.study.run_folder import is_done, keep_file, predictions_path
from kneeage.study.slicewise import dealt_files, fold_of_slices


def test_a_log_is_thinned_by_averaging_and_keeps_training_and_validation_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fold, "MOST_ROWS", 2)
    training = [{"step": str(n), "epoch": "0", "learning_rate": "1", "train_loss": str(n), "nll": ""} for n in range(4)]
    validation = [{"step": "2", "epoch": "0", "learning_rate": "", "train_loss": "", "nll": "0.5"}]
    assert thinned([*training, *validation]) == [
        {"step": "1", "epoch": "0", "learning_rate": "1", "train_loss": "0.5"},
        {"step": "2", "epoch": "0", "nll": "0.5"},
        {"step": "3", "epoch": "0", "learning_rate": "1", "train_loss": "2.5"},
    ]


def test_a_short_log_stays_as_it_is() -> None:
    assert thinned([{"step": "7", "epoch": "1", "train_loss": "0.25"}]) == [
        {"step": "7", "epoch": "1", "train_loss": "0.25"}
    ]
    assert thinned([]) == []


def test_slices_are_dealt_out_evenly_and_by_the_seed_alone() -> None:
    folds = fold_of_slices("a", 12, 5, seed=1)
    assert sorted(np.bincount(folds, minlength=5)) == [2, 2, 2, 3, 3]
    np.testing.assert_array_equal(folds, fold_of_slices("a", 12, 5, seed=1))
    assert any((fold_of_slices(name, 12, 5, seed=1) != folds).any() for name in "bcd")


def test_every_slice_is_tested_in_one_fold_and_learned_from_in_the_others(tmp_path: Path) -> None:
    regions = np.arange(5, dtype=np.float16)[:, None, None, None] * np.ones((1, 3, 2, 2), dtype=np.float16)
    save_regions(tmp_path / "a.npz", SubjectRegions(regions, 1, 12.5, "a"))
    tested = []
    for number in range(3):
        place = tmp_path / str(number)
        files = dealt_files([tmp_path / "a.npz"], place, regions=True, fold=number, folds=3, seed=4)
        learned, own = (load_regions(paths[0]) for paths in files)
        assert len(learned.regions) + len(own.regions) == 5
        assert own.subject_id == "a"
        tested += own.regions[:, 0, 0, 0].tolist()
    assert sorted(tested) == [0, 1, 2, 3, 4]


def test_open_plate_and_scar_are_one_plate() -> None:
    names = ("distal_femur_physis", "distal_femur_physeal_scar", "proximal_tibia_physis", "proximal_tibia_physeal_scar")
    counts = dict(zip(names, [(2, 4), (6, 8), (0, 0), (1, 3)], strict=True))
    assert fold._per_plate(counts) == {"distal_femur": (8, 12), "proximal_tibia": (1, 3)}
    rows = list(fold._dice_rows(fold.Group.INTERNAL, {"a": fold._per_plate(counts)}))
    assert [(row["plate"], row["mean"]) for row in rows] == [("distal femur", 8 / 12), ("proximal tibia", 1 / 3)]


def test_files_of_the_counter_example_say_so_by_their_names(tmp_path: Path) -> None:
    assert predictions_path(tmp_path, leaky=False, by_slice=False).name == "predictions.csv"
    assert predictions_path(tmp_path, leaky=True, by_slice=True).name == "LEAKY_COUNTER_EXAMPLE_slices.csv"
    assert not is_done(tmp_path)


def test_a_file_that_must_not_change_is_kept_or_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    keep_file(path, "a\nb\n", "settings")
    keep_file(path, "a\nb\n", "settings")
    with pytest.raises(UsageError, match=r"begun with other settings \(plan.json differs: 'b' there, 'c' now\)"):
        keep_file(path, "a\nc\n", "settings")
    assert path.read_text() == "a\nb\n"
