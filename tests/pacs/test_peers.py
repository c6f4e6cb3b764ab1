"""Addresses of archives."""

from __future__ import annotations

import pytest

from kneeage.core.errors import UsageError
from kneeage.pacs.peers import DicomPeer, WebPeer, host_and_port, parse_peer, require_ae_title


@pytest.mark.parametrize(
    ("text", "peer"),
    [
        ("dicom://ORTHANC@127.0.0.1:4242", DicomPeer("ORTHANC", "127.0.0.1", 4242)),
        ("dicom://ORTHANC@archive", DicomPeer("ORTHANC", "archive", 11112)),
        ("dicoms://ORTHANC@archive", DicomPeer("ORTHANC", "archive", 2762, secure=True)),
        ("dicom://A@[::1]:104", DicomPeer("A", "::1", 104)),
        ("https://archive/dicom-web/", WebPeer("https://archive/dicom-web")),
        ("http://127.0.0.1:8042/dicom-web", WebPeer("http://127.0.0.1:8042/dicom-web")),
    ],
)
def test_addresses(text: str, peer: DicomPeer | WebPeer) -> None:
    assert parse_peer(text) == peer


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("archive:4242", "is no address of an archive"),
        ("dicom://archive:4242", "is no address of an archive"),
        ("dicom://A@archive:many", "the port in"),
        ("https://archive:99999/", "the port in"),
        ("https://user:word@archive/", "put the user and password"),
        ("dicom://SEVENTEENLETTERSX@archive", "an AE title has 1 to 16"),
    ],
)
def test_what_is_no_address(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_peer(text)


@pytest.mark.parametrize("title", ["", "   ", "A\\B", "ÄE", "SEVENTEENLETTERSX", "A\nB"])
def test_what_is_no_ae_title(title: str) -> None:
    with pytest.raises(UsageError, match="an AE title"):
        require_ae_title(title)


def test_hosts_with_ports() -> None:
    assert host_and_port("0.0.0.0:9090") == ("0.0.0.0", 9090)
    for text in ("9090", "host", ":9090"):
        with pytest.raises(UsageError, match="give HOST:PORT"):
            host_and_port(text)
