"""Measure growth plates on true labels at image resolution, beside the latents they were painted from.

``python -m benchmarks.plate_measurements`` renders the labels of virtual knees in both hospitals' protocols, measures
them as any series is measured, and writes the table ``benchmarks/results/plate_measurements.csv`` and the errors that
follow from it, which ``kneeage.phantom.growth.measured`` reads. It takes two minutes on two cores, and also says how
well the latents can be read off linearly (R squared), and how well measured stages agree with the true ones (quadratic
weighted kappa). ``--read`` says it of the table that is there.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import math
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from rich.progress import track

from kneeage.core.anatomy import DISTAL_FEMUR, PROXIMAL_TIBIA, Plane, PlateSite, Sex, Side
from kneeage.core.machine import available_cores, possible_processes
from kneeage.core.result import PlateReport
from kneeage.core.skeletal_stages import DEDOUIT, dedouit_index, weighted_kappa
from kneeage.core.volume import Volume
from kneeage.infer.morphometry import measure_plate
from kneeage.infer.region import find_sites
from kneeage.infer.stages import MEASURED_CONTINUITY
from kneeage.phantom.anatomy.knee import Anatomy, Knee
from kneeage.phantom.cohort.subject import _STORED, _affine, _stack
from kneeage.phantom.growth.latents import KneeLatents, PlateLatents
from kneeage.phantom.growth.law import FloatArray, draw_latents
from kneeage.phantom.growth.measured import fit_error
from kneeage.phantom.scanner.protocol import HOSPITAL_A, HOSPITAL_B, Protocol, draw_protocol
from kneeage.phantom.scanner.sequence import Weighting

TABLE = Path("benchmarks/results/plate_measurements.csv")
ERRORS = Path("src/kneeage/phantom/growth/measured_errors.json")
SITES: dict[str, PlateSite] = {"femur": DISTAL_FEMUR, "tibia": PROXIMAL_TIBIA}
# Ages at which plates are open or bridging; a closed plate is measured without error.
AGES_YEARS = (8.0, 20.0)
# Two of four knees get a bridged share and a thickness of their own, because few are bridging at any age.
THICKNESS_MM = (0.5, 1.5)
Row = dict[str, str | float]


def main() -> None:
    """Measure, write the table and the errors, and say what follows from them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--knees", type=int, default=320)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=available_cores())
    parser.add_argument("--read", action="store_true", help="measure nothing, sum up the table that is there")
    options = parser.parse_args()
    rows = read_table() if options.read else _measured(options.knees, options.seed, options.workers)
    for plate in SITES:
        print(json.dumps({plate: summary([row for row in rows if row["plate"] == plate])}))


def _measured(knees: int, seed: int, workers: int) -> list[Row]:
    """Measure all knees and write the table."""
    numbers = range(knees)
    with ProcessPoolExecutor(possible_processes(workers)) as executor:
        done = executor.map(measured_knee, (np.random.default_rng([seed, n]) for n in numbers), numbers)
        rows = [row for knee in track(done, "Measuring", knees) for row in knee]
    _write(rows)
    return rows


def read_table() -> list[Row]:
    """Read the table that was written."""
    with TABLE.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def _write(rows: list[Row]) -> None:
    """Write the table and the errors fitted to it."""
    with TABLE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    errors = {plate: rounded_error([row for row in rows if row["plate"] == plate]) for plate in SITES}
    ERRORS.write_text(json.dumps(errors, indent=2) + "\n", encoding="utf-8")


def rounded_error(rows: list[Row]) -> dict[str, float]:
    """Give the errors of one plate's measurement, to four decimals."""
    fitted = dataclasses.asdict(fit_error(**columns(rows)))
    return {name: round(value, 4) for name, value in fitted.items()}


def measured_knee(rng: np.random.Generator, number: int) -> list[Row]:
    """Draw a knee, render its labels in a protocol, and measure both plates."""
    sex = list(Sex)[number % 2]
    latents = draw_latents(float(rng.uniform(*AGES_YEARS)), sex, rng)
    if number % 4 >= 2:
        latents = _bridging(latents, rng)
    hospital = (HOSPITAL_A, HOSPITAL_B)[number % 2]
    protocol = draw_protocol(hospital, rng, plane=Plane.CORONAL, weighting=Weighting.T1, fat_suppressed=False)
    labels = label_volume(Knee(Anatomy.draw(rng), latents), protocol)
    sites = find_sites(labels)
    return [
        {
            "knee": number,
            "hospital": hospital.name,
            "pixel_mm": round(protocol.pixel_mm, 4),
            "plate": plate,
            **_beside(getattr(latents, plate), measure_plate(labels, site, sites.of(site))),
        }
        for plate, site in SITES.items()
    ]


def _beside(latents: PlateLatents, report: PlateReport) -> Row:
    """Put what was measured beside the latents."""
    return {
        "thickness_mm": round(latents.thickness_mm, 4),
        "bridged": round(latents.bridged, 4),
        "measured_thickness_mm": round(report.thickness_mm or math.nan, 4),
        "measured_openness": round(report.openness or 0.0, 4),
    }


def label_volume(knee: Knee, protocol: Protocol) -> Volume:
    """Render the labels of a right knee as a volume, as the cohort places and stores its series."""
    labels = np.stack([knee.labels(grid) for grid in protocol.grids()])
    return Volume(_stack(labels), _affine(protocol, Side.RIGHT)).reoriented(_STORED[protocol.plane])


def summary(rows: list[Row]) -> dict[str, object]:
    """Give the errors of one plate's measurement, and how well its latents are read off linearly."""
    values = columns(rows)
    seen = values["measured_openness"] > 0
    return {
        **rounded_error(rows),
        "r2_thickness": round(_r2(values["thickness_mm"][seen], values["measured_thickness_mm"][seen]), 3),
        "r2_openness": round(_r2(1 - values["bridged"], values["measured_openness"]), 3),
        "kappa_dedouit": round(_kappa(values), 3),
        "plates": len(rows),
    }


def columns(rows: list[Row]) -> dict[str, FloatArray]:
    """Give the numbers of a table's rows, as ``fit_error`` takes them."""
    names = ("thickness_mm", "bridged", "measured_thickness_mm", "measured_openness")
    return {name: np.array([float(row[name]) for row in rows]) for name in names}


def _kappa(values: dict[str, FloatArray]) -> float:
    """Quadratic weighted kappa of the true stages after Dedouit and of those that the measurements give."""
    thickness = np.nan_to_num(values["measured_thickness_mm"])
    true = dedouit_index(values["thickness_mm"], values["bridged"])
    said = dedouit_index(thickness, 1 - values["measured_openness"], MEASURED_CONTINUITY)
    return weighted_kappa(true.tolist(), said.tolist(), len(DEDOUIT))


def _r2(truth: FloatArray, measured: FloatArray) -> float:
    """Share of the variance that a straight line through the measurements explains."""
    return float(np.corrcoef(truth, measured)[0, 1] ** 2)


def _bridging(latents: KneeLatents, rng: np.random.Generator) -> KneeLatents:
    """Give both plates a bridged share of their own, and a thickness as it is then."""
    plates = {
        plate: dataclasses.replace(
            getattr(latents, plate), bridged=float(rng.uniform(0, 1)), thickness_mm=float(rng.uniform(*THICKNESS_MM))
        )
        for plate in SITES
    }
    return dataclasses.replace(latents, **plates)


if __name__ == "__main__":
    main()
