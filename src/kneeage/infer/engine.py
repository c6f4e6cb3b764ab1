"""Run a network of a bundle with ONNX Runtime: float32, explicit threads, CPU."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from kneeage.core.errors import BundleError
from kneeage.core.machine import available_cores

FloatArray32 = NDArray[np.float32]
RUNTIME_VERSION: str = onnxruntime.__version__
# On Windows the events go through the system's tracing, which the variable set in kneeage/__init__.py does not reach.
onnxruntime.disable_telemetry_events()
_ERRORS_ONLY = 3
# The runtime's own exceptions derive from Exception one by one and share no base class.
_RUNTIME_ERRORS = (
    runtime.EPFail,
    runtime.Fail,
    runtime.InvalidArgument,
    runtime.InvalidGraph,
    runtime.InvalidProtobuf,
    runtime.NotImplemented,
    runtime.RuntimeException,
    RuntimeError,
    ValueError,
)
_REMEDY = "make the bundle anew with this version of kneeage"


class Network(Protocol):
    """Anything that turns named float32 arrays into float32 arrays."""

    def run(self, inputs: Mapping[str, FloatArray32]) -> FloatArray32:
        """Give the network's ``logits``."""
        ...

    def answer(self, inputs: Mapping[str, FloatArray32], outputs: tuple[str, ...]) -> list[FloatArray32]:
        """Give several outputs of the network."""
        ...


class Engine:
    """One ONNX network, loaded and ready.

    Args:
        model: Content of the ``.onnx`` file.
        name: What to call the network in errors, such as its file name.
        inputs: Names of the inputs it must have, and no others.
        outputs: Names of outputs it must have.
        threads: Number of threads; None: every core this process may use.

    Raises:
        BundleError: ONNX Runtime cannot load the network, or its inputs or output are not as named.
    """

    def __init__(
        self,
        model: bytes,
        *,
        name: str,
        inputs: tuple[str, ...],
        outputs: tuple[str, ...] = ("logits",),
        threads: int | None = None,
    ) -> None:
        self.name = name
        self._session = _session(model, name, threads or available_cores())
        found = sorted(node.name for node in self._session.get_inputs())
        if found != sorted(inputs):
            raise BundleError(f"network {name!r} must have the inputs {sorted(inputs)}; it has {found}; {_REMEDY}")
        missing = sorted({*outputs} - {node.name for node in self._session.get_outputs()})
        if missing:
            raise BundleError(f"network {name!r} has no output {missing[0]!r}; {_REMEDY}")

    def run(self, inputs: Mapping[str, FloatArray32]) -> FloatArray32:
        """Run the network once.

        Args:
            inputs: One float32 array per input.

        Returns:
            The output ``logits``, float32.

        Raises:
            BundleError: The network fails on these shapes, or answers with values that are not finite.
        """
        return self.answer(inputs, ("logits",))[0]

    def answer(self, inputs: Mapping[str, FloatArray32], outputs: tuple[str, ...]) -> list[FloatArray32]:
        """Run the network once and give several outputs.

        Args:
            inputs: One float32 array per input.
            outputs: Names of the outputs.

        Returns:
            The outputs in this order, float32.

        Raises:
            BundleError: The network fails on these shapes, or answers with values that are not finite.
        """
        feed = {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in inputs.items()}
        try:
            answers = [np.asarray(each, dtype=np.float32) for each in self._session.run(list(outputs), feed)]
        except _RUNTIME_ERRORS as error:
            raise BundleError(f"network {self.name!r} failed: {_first_line(error)}; {_REMEDY}") from error
        if not all(np.isfinite(each).all() for each in answers):
            raise BundleError(f"network {self.name!r} answered with values that are not finite; {_REMEDY}")
        return answers


def _session(model: bytes, name: str, threads: int) -> onnxruntime.InferenceSession:
    """Open an ONNX Runtime session on the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    # Idle threads of the runtime would otherwise spin and take the cores from numpy between two runs.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except _RUNTIME_ERRORS as error:
        raise BundleError(f"ONNX Runtime cannot load network {name!r}: {_first_line(error)}; {_REMEDY}") from error


def _first_line(error: Exception) -> str:
    """Give the first line of an error's text."""
    return (str(error).splitlines() or [type(error).__name__])[0]
