"""Every error tells the command line how to end, and is the builtin that callers expect."""

from __future__ import annotations

import pytest

from kneeage.core import errors


def test_exit_codes_are_the_contract() -> None:
    codes = (
        errors.EXIT_DONE,
        errors.EXIT_FAILED,
        errors.EXIT_USAGE,
        errors.EXIT_REFUSED,
        errors.EXIT_ABSTAINED,
    )
    assert codes == (0, 1, 2, 3, 4)


@pytest.mark.parametrize(
    ("error", "exit_code", "builtin"),
    [
        (errors.KneeAgeError, 1, Exception),
        (errors.UsageError, 2, ValueError),
        (errors.InputRefusedError, 3, ValueError),
        (errors.GeometryError, 3, ValueError),
        (errors.UndecodableError, 3, ValueError),
        (errors.AmbiguousSeriesError, 3, ValueError),
        (errors.BundleError, 1, RuntimeError),
        (errors.OutputError, 1, OSError),
        (errors.WorkerError, 1, RuntimeError),
    ],
)
def test_error_has_its_exit_code(error: type[errors.KneeAgeError], exit_code: int, builtin: type[Exception]) -> None:
    assert error.exit_code == exit_code
    assert issubclass(error, errors.KneeAgeError)
    assert issubclass(error, builtin)


@pytest.mark.parametrize("error", [errors.GeometryError, errors.BundleError, errors.OutputError])
def test_message_is_kept_as_written(error: type[errors.KneeAgeError]) -> None:
    assert str(error("slice 7 is missing")) == "slice 7 is missing"
