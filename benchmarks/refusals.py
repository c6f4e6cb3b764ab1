"""Which inputs get an estimate that should not, and which clean ones get none.

``python -m benchmarks.refusals`` makes 200 foreign, spoiled or out-of-population inputs by the recipes of
``benchmarks.refusal_inputs`` and 200 clean virtual knees, examines them all, and writes
``benchmarks/results/refusals.md``. ``--tuning`` takes the recipes and seeds that limits may be chosen on. An input is
*flagged* when no age is given; where only the sex is missing, a warning in the result counts too.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from rich.progress import track

from benchmarks.refusal_inputs import CLEAN, EVALUATION, EVALUATION_SEED, TUNING, TUNING_SEED, Input, Recipe
from kneeage.core.anatomy import Sex
from kneeage.core.errors import InputRefusedError
from kneeage.core.machine import available_cores, possible_processes
from kneeage.core.result import Outcome, Result
from kneeage.decide.question import Question
from kneeage.io.bundle import Bundle, load_bundle
from kneeage.pipeline import SEX_WARNING, Examiner, refused

RESULTS = Path("benchmarks/results/refusals.md")
INPUTS = 200


@dataclass(frozen=True)
class Answer:
    """What came of one input.

    Args:
        recipe: Name of its recipe.
        outcome: How the examination ended.
        reasons: Codes of the reasons.
        warned: Whether the result warns that the sex is missing.
    """

    recipe: str
    outcome: Outcome
    reasons: tuple[str, ...]
    warned: bool

    def is_flagged(self, recipe: Recipe) -> bool:
        """Whether nobody can take the answer for a plain estimate."""
        return self.outcome is not Outcome.ESTIMATED or (not recipe.wanted and self.warned)


def main() -> None:
    """Run the campaign and write its table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS, help="foreign inputs, and as many clean ones")
    parser.add_argument("--bundle", type=Path, help="folder of the bundle; the shipped one where not given")
    parser.add_argument("--tuning", action="store_true", help="recipes and seeds that limits may be chosen on")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--workers", type=int, default=available_cores())
    options = parser.parse_args()
    recipes, seed = (TUNING, TUNING_SEED) if options.tuning else (EVALUATION, EVALUATION_SEED)
    jobs = [*listed(recipes, options.inputs), *[CLEAN] * options.inputs]
    with ProcessPoolExecutor(possible_processes(options.workers)) as executor:
        places = range(len(jobs))
        running = executor.map(
            _examined, [options.bundle] * len(jobs), [options.tuning] * len(jobs), [job.name for job in jobs], places
        )
        answers = list(track(running, "Examining", len(jobs)))
    text = table(recipes, answers, seed)
    print(text)
    if not options.tuning:
        options.results.write_text(text, encoding="utf-8")


def listed(recipes: Sequence[Recipe], inputs: int) -> list[Recipe]:
    """Deal so many inputs out to the recipes, by their shares, in turn."""
    dealt = [recipe for recipe in recipes for _ in range(recipe.share)]
    return list(islice(cycle(dealt), inputs))


def examine(examiner: Examiner, recipe: Recipe, made: Input) -> Answer:
    """Examine one input."""
    try:
        result = examiner.examine(made.series, Question(sex=made.sex)).result
    except InputRefusedError as error:
        result = refused(error)
    return _answer(recipe, result)


def table(recipes: Iterable[Recipe], answers: Sequence[Answer], seed: int) -> str:
    """Write the table of a campaign in Markdown."""
    return "\n".join([_HEAD.format(seed=seed), *_rows(recipes, answers), "", *_clean_lines(answers), ""])


def _rows(recipes: Iterable[Recipe], answers: Sequence[Answer]) -> Iterator[str]:
    """One row for each recipe, and their sum."""
    flagged, total = 0, 0
    for recipe in recipes:
        own = [answer for answer in answers if answer.recipe == recipe.name]
        hits = [answer for answer in own if answer.is_flagged(recipe)]
        true = [answer for answer in hits if not recipe.wanted or {*answer.reasons} & {*_values(recipe)}]
        yield f"| {recipe.name} | {len(own)} | {len(hits)} | {len(true)} | {_counted(own)} |"
        flagged, total = flagged + len(hits), total + len(own)
    yield f"| **all** | {total} | {flagged} | | |"


def _clean_lines(answers: Sequence[Answer]) -> Iterator[str]:
    """Say how many clean knees got no estimate, and why."""
    own = [answer for answer in answers if answer.recipe == CLEAN.name]
    missed = [answer for answer in own if answer.outcome is not Outcome.ESTIMATED]
    share = len(missed) / len(own) if own else 0.0
    yield f"Of {len(own)} clean virtual knees {len(missed)} got no estimate ({100 * share:.1f} %): {_counted(missed)}."


def _counted(answers: Iterable[Answer]) -> str:
    """Count the reasons."""
    counts = Counter(reason for answer in answers for reason in answer.reasons)
    return ", ".join(f"{reason} {count}" for reason, count in counts.most_common()) or "no reason"


def _values(recipe: Recipe) -> set[str]:
    """Codes of the reasons that a recipe wants."""
    return {code.value for code in recipe.wanted}


def _answer(recipe: Recipe, result: Result) -> Answer:
    """Keep of a result what is counted."""
    codes = tuple(sorted({reason.code.value for reason in result.reasons}))
    return Answer(recipe.name, result.outcome, codes, SEX_WARNING in result.warnings)


def _examined(bundle: Path | None, tuning: bool, name: str, place: int) -> Answer:
    """Make and examine one input in a process of its own."""
    recipes = {recipe.name: recipe for recipe in (*(TUNING if tuning else EVALUATION), CLEAN)}
    seed = TUNING_SEED if tuning else EVALUATION_SEED
    recipe = recipes[name]
    return examine(_examiner(bundle, recipe.covers), recipe, recipe.make(np.random.default_rng([seed, place])))


@lru_cache(maxsize=2)
def _examiner(bundle: Path | None, covers: Sex | None) -> Examiner:
    """Load the bundle once per process, as it is or as one for one sex; each process keeps to one core."""
    return Examiner(covering(load_bundle(bundle), covers), threads=1)


def covering(bundle: Bundle, sex: Sex | None) -> Bundle:
    """Give a bundle as one that says it covers a sex alone; None: as it is."""
    return bundle if sex is None else replace(bundle, manifest=bundle.manifest.model_copy(update={"sexes": [sex]}))


_HEAD = """# Refusals

`make refusals`: inputs that no estimate should be given for, and clean ones, from seed {seed}; see docs/refusals.md.
*Flagged*: no age is given (where the sex is missing: or the result says so). *True*: a reason names what was done.

| input | made | flagged | true | reasons given |
|---|---|---|---|---|"""


if __name__ == "__main__":
    main()
