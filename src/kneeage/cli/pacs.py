"""``kneeage pacs``: listen for studies, fetch one, list, retry and remove what the queue holds."""

from __future__ import annotations

import signal
import threading
from ipaddress import ip_network
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from kneeage.cli.estimate import ReportFolder, leave, tell_result
from kneeage.cli.options import (
    THRESHOLDS,
    AsJson,
    BundleFolder,
    ClaimedAge,
    Consent,
    ExaminerName,
    HeightCm,
    Lang,
    LegalBasis,
    Prior,
    QuestionText,
    RatioAges,
    Thresholds,
    WeightKg,
    language,
    numbers,
    one_of,
    require_libraries,
)
from kneeage.cli.register import REGISTER_LIBRARIES, Database, register_url, require_extra
from kneeage.cli.speak import answering, give, show, tell, working
from kneeage.core.anatomy import Sex
from kneeage.core.errors import UsageError

if TYPE_CHECKING:
    from kneeage.pacs.examine import StudyExaminer
    from kneeage.pacs.fetch import MoveDoor, Retrieval, Search
    from kneeage.pacs.guard import Network
    from kneeage.pacs.peers import DicomPeer, WebPeer
    from kneeage.pacs.send import Caller
    from kneeage.service.queue import Queue
    from kneeage.service.recorder import RecordPlace
    from kneeage.service.spool import Spool as SpoolFolder
    from kneeage.service.studies import Entry

app = typer.Typer(name="pacs", no_args_is_help=True, help="Work beside an archive. Needs the extra `pacs`.")

MEBIBYTE = 2**20
ANYONE = "any"

Spool = Annotated[
    Path, typer.Option(metavar="DIR", help="Folder of the queue, the images and the results.", show_default=False)
]
AeTitle = Annotated[str, typer.Option("--ae-title", metavar="AET", help="Own AE title.")]
SexFromHeader = Annotated[
    bool, typer.Option("--sex-from-header", help="Take the sex from the image header; without this it never is.")
]
Explained = Annotated[
    bool, typer.Option("--explain/--no-explain", help="Draw where on the slices the age came from, in the report.")
]
GivenSex = Annotated[Sex | None, typer.Option(help="Sex of the subject; not known if not given.")]
Certificate = Annotated[Path | None, typer.Option("--tls-cert", metavar="PEM", help="Own certificate.")]
Key = Annotated[Path | None, typer.Option("--tls-key", metavar="PEM", help="Its private key.")]
Authority = Annotated[
    Path | None, typer.Option("--tls-ca", metavar="PEM", help="Authority that peers' certificates must come from.")
]
WebLogin = Annotated[
    Path | None, typer.Option(metavar="FILE", help="File with user:password or 'Bearer TOKEN', for DICOMweb.")
]
Archive = Annotated[
    str | None,
    typer.Option(
        "--send-to", metavar="URL", help="dicom://AET@host:port, dicoms://... or https://host/dicom-web, for results."
    ),
]

RecordFolder = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Folder of the workstation, to put what is done on record.", show_default=False
    ),
]


@app.command(name="listen")
@answering
def listen_command(
    spool: Spool,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, metavar="N", help="Port to listen on.")] = 11112,
    ae_title: AeTitle = "KNEEAGE",
    allow: Annotated[
        list[str] | None,
        typer.Option(metavar="AET", help="Calling AE title that is let in; repeat it, or 'any'.", show_default=False),
    ] = None,
    allow_address: Annotated[
        list[str] | None,
        typer.Option(metavar="NETWORK", help="Address or network that is let in; repeat it.", show_default=False),
    ] = None,
    tls_cert: Certificate = None,
    tls_key: Key = None,
    tls_ca: Authority = None,
    send_to: Archive = None,
    web_login: WebLogin = None,
    stable_seconds: Annotated[
        float, typer.Option(min=0, metavar="N", help="A study is complete when no image came for so long.")
    ] = 20.0,
    sex: GivenSex = None,
    sex_from_header: SexFromHeader = False,
    thresholds: Thresholds = THRESHOLDS,
    bundle: BundleFolder = None,
    lang: Lang = "en",
    explain: Explained = True,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="Studies examined side by side.")] = 1,
    associations: Annotated[int, typer.Option(min=1, metavar="N", help="Associations at once.")] = 10,
    max_object_mib: Annotated[int, typer.Option(min=1, metavar="N", help="Largest object.")] = 512,
    max_study_mib: Annotated[int, typer.Option(min=1, metavar="N", help="Largest study.")] = 4096,
    idle_seconds: Annotated[float, typer.Option(min=1, metavar="N", help="Longest silence of a peer.")] = 30.0,
    study_seconds: Annotated[float, typer.Option(min=1, metavar="N", help="Longest work on a study.")] = 600.0,
    keep_hours: Annotated[
        float, typer.Option(min=0, metavar="N", help="Images and results stay so long after a study is done.")
    ] = 24.0,
    metrics: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where Prometheus finds metrics.", show_default=False)
    ] = None,
    data: RecordFolder = None,
    register: Database = None,
) -> None:
    """Receive studies, estimate, and send results back, until stopped."""
    _require_extra()
    from kneeage.decide.question import Question
    from kneeage.pacs.examine import StudyExaminer
    from kneeage.pacs.guard import Limits
    from kneeage.pacs.listen import ListenSettings, listen
    from kneeage.pacs.peers import Tls, host_and_port, require_ae_title
    from kneeage.pacs.send import Caller, Destination
    from kneeage.service.logs import write_logs
    from kneeage.service.worker import Rhythm

    language(lang)
    tls = Tls(tls_cert, tls_key, tls_ca)
    caller = Caller(require_ae_title(ae_title), tls, web_login)
    record = _record_place(data, register)
    asked = Question(sex=sex, thresholds=numbers(thresholds))
    with_image = record is not None
    examine = StudyExaminer(bundle, asked, sex_from_header, lang=lang, explain=explain, with_image=with_image)
    settings = ListenSettings(
        spool=spool,
        host=host,
        port=port,
        ae_title=caller.ae_title,
        allowed_ae_titles=_let_in(host, allow),
        tls=tls.for_listener(),
        limits=Limits(
            networks=_networks(allow_address),
            associations=associations,
            instance_bytes=max_object_mib * MEBIBYTE,
            study_bytes=max_study_mib * MEBIBYTE,
            idle_seconds=idle_seconds,
        ),
        rhythm=Rhythm(quiet=stable_seconds, keep=keep_hours * 3600),
        workers=workers,
        study_seconds=study_seconds,
        metrics=None if metrics is None else host_and_port(metrics),
        asked=examine.asked(),
        record=record,
    )
    destination = None if send_to is None else Destination(_peer(send_to), caller)
    examine.check()
    write_logs()
    listen(settings, examine, destination, stop_signal(), lambda found: tell(f"Listening on port {found}."))


@app.command(name="fetch")
@answering
def fetch_command(
    archive: Annotated[
        str,
        typer.Argument(metavar="URL", help="dicom://AET@host:port or https://host/dicom-web.", show_default=False),
    ],
    output: ReportFolder,
    study: Annotated[str | None, typer.Option(metavar="UID", help="Study Instance UID.")] = None,
    accession: Annotated[str | None, typer.Option(metavar="NUMBER", help="Accession number.")] = None,
    subject: Annotated[str | None, typer.Option(metavar="ID", help="Identifier of the subject.")] = None,
    date: Annotated[str | None, typer.Option(metavar="YYYYMMDD[-YYYYMMDD]", help="Study date or range.")] = None,
    by: Annotated[str, typer.Option(metavar="get|move", help="C-GET, or C-MOVE to our own port.")] = "get",
    ae_title: AeTitle = "KNEEAGE",
    move_host: Annotated[str, typer.Option(metavar="ADDRESS", help="Where C-MOVE comes in.")] = "127.0.0.1",
    move_port: Annotated[int, typer.Option(min=1, max=65535, metavar="N", help="Its port.")] = 11113,
    tls_cert: Certificate = None,
    tls_key: Key = None,
    tls_ca: Authority = None,
    web_login: WebLogin = None,
    send_to: Archive = None,
    sex: GivenSex = None,
    sex_from_header: SexFromHeader = False,
    height_cm: HeightCm = None,
    weight_kg: WeightKg = None,
    question: QuestionText = None,
    legal_basis: LegalBasis = None,
    consent: Consent = None,
    claimed_age: ClaimedAge = None,
    examiner: ExaminerName = None,
    thresholds: Thresholds = THRESHOLDS,
    ratio_ages: RatioAges = None,
    prior: Prior = None,
    bundle: BundleFolder = None,
    lang: Lang = "en",
    explain: Explained = True,
    as_json: AsJson = False,
) -> None:
    """Find one study in an archive, retrieve its MR series and estimate."""
    _require_extra()
    from kneeage.decide.question import Question
    from kneeage.io.output import require_free
    from kneeage.pacs.examine import StudyExaminer
    from kneeage.pacs.fetch import MoveDoor, Retrieval, Search
    from kneeage.pacs.peers import Tls, require_ae_title
    from kneeage.pacs.send import Caller

    language(lang)
    require_free(output)
    caller = Caller(require_ae_title(ae_title), Tls(tls_cert, tls_key, tls_ca), web_login)
    retrieval = Retrieval(one_of("by", by, [one.value for one in Retrieval]))
    asked = Question(
        sex=sex,
        height_cm=height_cm,
        weight_kg=weight_kg,
        thresholds=numbers(thresholds),
        ratio_ages=ratio_ages,
        prior=prior,
        question=question,
        legal_basis=legal_basis,
        consent=consent,
        claimed_age_years=claimed_age,
        examiner=examiner,
    )
    examine = StudyExaminer(bundle, asked, sex_from_header, lang=lang, explain=explain)
    search, door = Search(study, accession, subject, date), MoveDoor(move_host, move_port)
    target = None if send_to is None else _peer(send_to)
    _fetch(_peer(archive), search, output, caller=caller, retrieval=retrieval, door=door, examine=examine)
    if target is not None:
        _send(output, target, caller)
    _give_result(output, as_json=as_json)


@app.command(name="list")
@answering
def list_command(
    spool: Spool,
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="One of received, stable, running, done, parked, removed; else all."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """List studies of a spool and where they stand."""
    from kneeage.service.studies import StudyState

    wanted = None if state is None else StudyState(one_of("state", state, [one.value for one in StudyState]))
    entries = _opened(spool)[0].entries(wanted)
    if as_json:
        give(_as_json(entries))
    else:
        _show(entries)


@app.command(name="retry")
@answering
def retry_command(
    spool: Spool,
    study: Annotated[
        str | None, typer.Argument(metavar="[STUDY]", help="Key or UID of a study; all that are parked if not given.")
    ] = None,
) -> None:
    """Put parked studies back in the line."""
    count = _opened(spool)[0].retry(study)
    tell(f"{count} studies are in the line again." if count != 1 else "1 study is in the line again.")


@app.command(name="remove")
@answering
def remove_command(
    spool: Spool,
    study: Annotated[str | None, typer.Argument(metavar="[STUDY]", help="Key or UID of a study.")] = None,
    parked: Annotated[bool, typer.Option("--parked", help="All that are parked.")] = False,
    data: RecordFolder = None,
    register: Database = None,
) -> None:
    """Remove the images and results of a study that is parked or done; what happened to it stays on record."""
    if (study is None) != parked:
        raise UsageError("name one study as 'kneeage pacs list' shows it, or give --parked for all that are parked")
    place = _record_place(data, register)
    queue, folder = _opened(spool)
    recorder = None if place is None else place.recorder(queue, folder)
    count = queue.remove(study, folder.remove)
    tell(f"{count} studies were removed." if count != 1 else "1 study was removed.")
    if count and not (recorder and recorder.try_to_catch_up()):
        tell("It is not on record yet; the node puts it there where it listens with --data.")


def _require_extra() -> None:
    """Check that the libraries of the network are installed.

    Raises:
        UsageError: One is not.
    """
    require_libraries(("pynetdicom", "dicomweb_client", "prometheus_client"), "pacs")


def _let_in(host: str, allow: list[str] | None) -> tuple[str, ...]:
    """Give the AE titles that are let in; beyond this machine they must be named, or everyone must be.

    Raises:
        UsageError: They are not.
    """
    from kneeage.pacs.peers import require_ae_title
    from kneeage.service.addresses import is_loopback

    if allow == [ANYONE]:
        return ()
    if not allow and not is_loopback(host):
        raise UsageError(f"on {host} others can reach the node: name who may call with --allow AET, or --allow any")
    return tuple(require_ae_title(title) for title in allow or ())


def _networks(texts: list[str] | None) -> tuple[Network, ...]:
    """Read networks.

    Raises:
        UsageError: One is none.
    """
    try:
        return tuple(ip_network(text) for text in texts or ())
    except ValueError as error:
        raise UsageError(f"--allow-address takes an address or network such as 10.1.0.0/16: {error}") from None


def _peer(url: str) -> DicomPeer | WebPeer:
    """Read the address of an archive."""
    from kneeage.pacs.peers import parse_peer

    return parse_peer(url)


def stop_signal() -> threading.Event:
    """Give what is set when the program is asked to end."""
    stopped = threading.Event()

    def stop(_number: int, _frame: FrameType | None) -> None:
        """Ask it to end."""
        stopped.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    return stopped


def _fetch(
    peer: DicomPeer | WebPeer,
    search: Search,
    output: Path,
    *,
    caller: Caller,
    retrieval: Retrieval,
    door: MoveDoor,
    examine: StudyExaminer,
) -> None:
    """Retrieve into a folder that is removed, and examine into the output."""
    import tempfile

    from kneeage.io.output import whole_folder
    from kneeage.pacs.fetch import fetch

    examine.check()
    with tempfile.TemporaryDirectory(prefix="kneeage-") as images:
        with working("Retrieving"):
            fetch(peer, search, Path(images), caller=caller, retrieval=retrieval, door=door)
        with working("Estimating"), whole_folder(output) as whole:
            examine(Path(images), whole)


def _send(output: Path, peer: DicomPeer | WebPeer, caller: Caller) -> None:
    """Send the DICOM objects of an output."""
    from kneeage.pacs.send import Destination

    files = sorted(output.rglob("*.dcm"))
    with working("Sending"), Destination(peer, caller)(files) as send:
        for file in files:
            send(file)
    tell(f"{len(files)} DICOM objects were stored in the archive.")


def _give_result(output: Path, *, as_json: bool) -> None:
    """Say what was found."""
    from kneeage.core.result import Result

    text = (output / "result.json").read_text(encoding="utf-8")
    result = Result.model_validate_json(text)
    if as_json:
        give(text.rstrip())
    tell_result(result, output)
    leave(result)


def _record_place(data: Path | None, register: str | None) -> RecordPlace | None:
    """Give where what is done is put on record; None where it is not.

    Raises:
        UsageError: A library is missing, or a register is named without its folder.
    """
    if data is None:
        if register is not None:
            raise UsageError("a register is named, but not the folder of its workstation; give --data DIR too")
        return None
    require_extra(REGISTER_LIBRARIES)
    from kneeage.service.recorder import RecordPlace

    return RecordPlace(data.absolute(), register_url(data, register))


def _opened(spool: Path) -> tuple[Queue, SpoolFolder]:
    """Open the queue of a spool that is there, and the spool.

    Raises:
        UsageError: There is none.
    """
    from kneeage.service.queue import Queue
    from kneeage.service.spool import Spool as SpoolFolder

    if not (spool / "queue.sqlite3").is_file():
        raise UsageError(f"{str(spool)!r} holds no queue; give the folder that 'kneeage pacs listen' was given")
    folder = SpoolFolder(spool)
    return Queue(folder.database), folder


def _as_json(entries: list[Entry]) -> str:
    """Write entries as JSON."""
    import json
    from dataclasses import asdict

    return json.dumps([asdict(entry) for entry in entries], indent=2)


def _show(entries: list[Entry]) -> None:
    """Write entries as a table."""
    from datetime import UTC, datetime

    from rich.table import Column, Table

    table = Table(Column("study", no_wrap=True), "state", "since (UTC)", "images", "Study Instance UID", "reason")
    for one in entries:
        since = datetime.fromtimestamp(one.since, UTC).strftime("%Y-%m-%d %H:%M:%S")
        table.add_row(one.key, one.state.value, since, str(one.instances), one.study_uid, one.reason or "")
    show(table)
