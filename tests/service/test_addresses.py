"""Which addresses are reached from this machine alone."""

from __future__ import annotations

import pytest

from kneeage.service.addresses import is_loopback


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.1.2.3", False),
        ("knees.example.org", False),
    ],
)
def test_the_loopback(host: str, is_own: bool) -> None:
    assert is_loopback(host) is is_own
