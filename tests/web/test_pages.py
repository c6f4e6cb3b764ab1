"""The pages in a real browser: a virtual study goes in, an answer, a correction and a refusal come out."""

from __future__ import annotations

import base64
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from pydicom import dcmread

from kneeage.core.anatomy import Label
from kneeage.core.volume import Volume
from kneeage.infer.correct import PLATES
from kneeage.io.nifti import read_values
from kneeage.report.words import words

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Debian's chromium")

AXE = (Path(__file__).parent / "vendor" / "axe.min.js").read_text(encoding="utf-8")
# WebGL 2 without a graphics card.
OPTIONS = ["--no-sandbox", "--disable-dev-shm-usage", "--use-gl=angle", "--use-angle=swiftshader"]
# Outlines are read back from their canvas, which a processor has at hand.
OPTIONS += ["--enable-unsafe-swiftshader", "--disable-accelerated-2d-canvas"]
SERVE = "from kneeage.cli import main; main()"
# As the viewer draws them, from the project's table of labels.
FEMUR, TIBIA = (230, 159, 0), (213, 94, 0)
# Only what never comes is waited for so long: drawing without a graphics card is slow on a machine that is busy.
PATIENCE_MS = 240_000
MARKUP = "<img src=x onerror=alert(1)>"
DROP = """async (files) => {
  const transfer = new DataTransfer();
  for (const [name, content] of files) {
    const bytes = Uint8Array.from(atob(content), (letter) => letter.charCodeAt(0));
    transfer.items.add(new File([bytes], name));
  }
  const drop = document.querySelector("#drop");
  drop.dispatchEvent(new DragEvent("drop", { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""

PIXELS = """(colour) => {
  const canvas = document.querySelector("#outlines");
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4)
    count += Number(data[at + 3] > 200 && colour.every((value, part) => Math.abs(data[at + part] - value) < 25));
  return count;
}"""

# What the page says of work that goes on, again and again.
WATCH = """addEventListener("DOMContentLoaded", () => {
  const [text, bar] = ["#working-text", "#working-bar"].map((name) => document.querySelector(name));
  window.said = [];
  const note = () => document.querySelector("#working").hidden || window.said.push([text.textContent, bar.value]);
  const parts = { subtree: true, childList: true, attributes: true };
  if (text) new MutationObserver(note).observe(text.parentElement, parts);
});"""
COUNT_STREAMS = """
  window.streams = 0;
  window.EventSource = class extends EventSource {
    constructor(path) { super(path); window.streams += 1; }
    close() { if (this.readyState !== EventSource.CLOSED) window.streams -= 1; super.close(); }
  };
"""
SHOW = """(hidden) => {
  Object.defineProperty(document, "hidden", { value: hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}"""


@dataclass
class Seen:
    """A page, and what it asked for and complained of."""

    page: Any
    base: str
    outside: list[str]
    complaints: list[str]

    def go(self, path: str) -> None:
        self.page.goto(self.base + path)
        self.page.wait_for_selector("html[data-interactive]")

    def drop(self, files: list[Path]) -> None:
        self.go("/new")
        content = [(path.name, base64.b64encode(path.read_bytes()).decode()) for path in files]
        self.page.evaluate(DROP, content)

    def pixels_like(self, colour: tuple[int, int, int]) -> int:
        """Count the pixels that the viewer's canvas over the slices has of a colour."""
        count: int = self.page.evaluate(PIXELS, list(colour))
        return count


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    from kneeage.cli.demo import DEMO_SEED
    from kneeage.phantom.cohort.write import write_virtual_dicom

    folder = tmp_path_factory.mktemp("study") / "dicom"
    write_virtual_dicom(folder, DEMO_SEED)
    return sorted(folder.rglob("*.dcm"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """Where a server of its own answers, and its process."""
    data = tmp_path_factory.mktemp("serve") / "data"
    command = [sys.executable, "-c", SERVE, "serve", "--data", str(data), "--port", "0", "--workers", "1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        said = next((found for line in server.stderr if (found := re.search(r"http://[\d.]+:\d+", line))), None)
        assert said is not None, "the server did not start"
        yield said.group(), server.pid
        server.terminate()


@pytest.fixture(scope="module")
def base(server: tuple[str, int]) -> str:
    """Where the server answers."""
    return server[0]


@contextmanager
def no_work(parent: int) -> Iterator[None]:
    """Let the workers of a server stand still."""
    workers = [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
    for worker in workers:
        os.kill(worker, signal.SIGSTOP)
    yield
    for worker in workers:
        os.kill(worker, signal.SIGCONT)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        browser.close()


@pytest.fixture
def seen(chromium: Any, base: str) -> Iterator[Seen]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB", color_scheme="light")
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    here = Seen(page, base, [], [])
    page.on(
        "request",
        lambda request: None if request.url.startswith((base, "data:", "blob:")) else here.outside.append(request.url),
    )
    page.on("dialog", lambda dialog: here.complaints.append(dialog.message))
    page.on("pageerror", lambda error: here.complaints.append(str(error)))
    page.on("console", lambda said: here.complaints.append(said.text) if "Content Security" in said.text else None)
    yield here
    context.close()
    assert here.outside == []
    assert here.complaints == []


@pytest.fixture(scope="module")
def answered(chromium: Any, server: tuple[str, int], study: list[Path]) -> dict[str, Any]:
    """Drop a virtual study in, watch it, and say what was seen on the way."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, locale="en-GB")
    context.set_default_timeout(PATIENCE_MS)
    here = Seen(context.new_page(), server[0], [], [])
    here.page.add_init_script(WATCH)
    here.drop(study)
    here.page.wait_for_selector("#series input:checked")
    series = here.page.inner_text("#series")
    here.page.check("input[name=sex][value=male]")
    with no_work(server[1]):
        here.page.click("#start")
        here.page.wait_for_selector("#working:not([hidden])")
    here.page.wait_for_selector("#estimated-age")
    said = here.page.evaluate("window.said")
    here.page.wait_for_selector('[data-file="report.pdf"]')
    path = here.page.url.removeprefix(here.base)
    context.close()
    return {"path": path, "series": series, "said": said, "id": path.rsplit("/", 1)[-1]}


def result_of(seen: Seen, answered: dict[str, Any], number: int) -> dict[str, Any]:
    found: dict[str, Any] = seen.page.request.get(
        f"{seen.base}/api/examinations/{answered['id']}/runs/{number}/result"
    ).json()
    return found


def test_a_virtual_study_is_dropped_in_and_answered(seen: Seen, answered: dict[str, Any]) -> None:
    assert "coronal" in answered["series"]
    stages = list(dict.fromkeys(text for text, _ in answered["said"]))
    assert stages[0] == "Waiting in the queue"
    assert len(stages) >= 3, stages
    shares = [share for _, share in answered["said"]]
    assert shares == sorted(shares)
    assert len(set(shares)) >= 3
    seen.go(answered["path"])
    result = result_of(seen, answered, 1)
    assert seen.page.inner_text("#estimated-age").split()[0] == words("en").number(result["estimated_age_years"])
    assert seen.page.locator(".plot .threshold").count() == len(result["thresholds"])
    assert seen.page.is_visible("#demonstration")


def test_both_plates_are_outlined(seen: Seen, answered: dict[str, Any]) -> None:
    seen.go(answered["path"])
    seen.page.wait_for_selector("#viewer[data-loaded]")
    assert seen.pixels_like(FEMUR) > 100
    assert seen.pixels_like(TIBIA) > 100
    seen.page.click("#show-outlines")
    assert seen.pixels_like(FEMUR) < 20
    assert seen.pixels_like(TIBIA) < 20


def test_where_the_age_came_from_is_shown_when_it_is_asked_for(seen: Seen, answered: dict[str, Any]) -> None:
    seen.go(answered["path"])
    seen.page.wait_for_selector("#show-explanation:not([hidden])")
    assert not seen.page.is_visible("#explanation-note")
    before = seen.page.locator("#scan").screenshot()
    seen.page.click("#show-explanation")
    assert seen.page.is_visible("#explanation-note")
    assert seen.page.locator("#scan").screenshot() != before


def test_downloads_are_what_they_say(seen: Seen, answered: dict[str, Any]) -> None:
    seen.go(answered["path"])
    with seen.page.expect_download() as waiting:
        seen.page.click('[data-file="result.json"]')
    assert Path(waiting.value.path()).read_text().startswith("{")
    links = {link.get_attribute("data-file"): link for link in seen.page.locator(".downloads a[data-file]").all()}
    assert set(links) >= {"report.pdf", "report.html", "segmentation.dcm", "measurements.dcm", "all.zip"}
    begins = {"report.pdf": b"%PDF-", "report.html": b"<!DOCTYPE html>", "all.zip": b"PK", "labels.nii.gz": b"\x1f\x8b"}
    for name, link in links.items():
        content = seen.page.request.get(seen.base + str(link.get_attribute("href"))).body()
        assert content[128:132] == b"DICM" if name.endswith(".dcm") else content.startswith(begins.get(name, b"{"))


def test_a_brush_changes_the_result(seen: Seen, answered: dict[str, Any]) -> None:
    seen.go(f"{answered['path']}/correct")
    seen.page.wait_for_selector("#viewer[data-loaded]")
    before = seen.pixels_like(FEMUR)
    seen.page.click('[data-pen="0"]')
    seen.page.locator("#size").fill("15")
    box = seen.page.locator("#viewer").bounding_box()
    for height in np.arange(0.3, 0.46, 0.03):
        seen.page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + height * box["height"])
        seen.page.mouse.down()
        seen.page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + height * box["height"], steps=2)
        seen.page.mouse.up()
    assert seen.pixels_like(FEMUR) < before
    seen.page.click("#estimate")
    seen.page.wait_for_selector("#compared")
    assert seen.page.locator("#compared .changed").count() > 0
    first, second = (result_of(seen, answered, number)["plates"]["distal_femur"]["volume_mm3"] for number in (1, 2))
    assert second < first


def test_a_dab_changes_what_lies_under_it_and_nothing_else(
    seen: Seen, answered: dict[str, Any], tmp_path: Path
) -> None:
    """The image is not turned to right, anterior, superior; what is sent is compared by its place in the body."""
    sent: list[bytes] = []

    def keep(route: Any) -> None:
        sent.append(route.request.post_data_buffer)
        route.fulfill(status=409, json={"error": {"code": "state", "message": ""}})

    seen.page.route("**/corrections**", keep)
    before = labels_of(seen, answered, tmp_path)
    assert before.orientation != "RAS"
    seen.go(f"{answered['path']}/correct")
    seen.page.wait_for_selector("#viewer[data-loaded]")
    seen.page.click('[data-pen="2"]')
    seen.page.locator("#size").fill("7")
    box, spot = seen.page.locator("#viewer").bounding_box(), np.array([0.42, 0.2])
    seen.page.mouse.click(box["x"] + spot[0] * box["width"], box["y"] + spot[1] * box["height"])
    seen.page.click("#estimate")
    seen.page.wait_for_selector("#problem:not([hidden])")
    (tmp_path / "sent.nii").write_bytes(sent[0])
    drawn, base = (one.reoriented("RAS") for one in (read_values(tmp_path / "sent.nii"), before))
    plates = np.where(np.isin(base.array, PLATES), base.array, 0)
    changed = np.argwhere((drawn.array != plates)[0])
    slice_shown = int(seen.page.input_value("#slice")) - 1
    columns, slices, rows = base.shape
    # The slice fills the canvas as far as it can; the right of the body is on the left, above is above.
    size_mm = np.array([columns * base.spacing[0], rows * base.spacing[2]])
    window = np.array([box["width"], box["height"]])
    place_mm = (spot - 0.5) * window / min(window / size_mm)
    centre = np.array([columns, rows]) / 2 - place_mm / np.array([base.spacing[0], base.spacing[2]])
    assert set(changed[:, 1]) == {slice_shown}
    assert 0 <= slice_shown < slices
    away = np.linalg.norm(np.indices((columns, rows)).transpose(1, 2, 0) + 0.5 - centre, axis=-1)
    is_changed = np.zeros((columns, rows), bool)
    is_changed[changed[:, 0], changed[:, 2]] = True
    # A dab is 7 pixels wide; where its middle is can be told to a pixel.
    assert is_changed[away < 2.5].all()
    assert not is_changed[away > 4.5].any()
    assert set(drawn.array[0][tuple(changed.T)]) == {Label.PROXIMAL_TIBIA_PHYSIS}


def labels_of(seen: Seen, answered: dict[str, Any], folder: Path) -> Volume:
    """The labels that the page corrects: those of the newest version."""
    found = seen.page.request.get(f"{seen.base}/api/examinations/{answered['id']}").json()
    number = [run["number"] for run in found["runs"] if "labels.nii.gz" in run["files"]][-1]
    url = f"{seen.base}/api/examinations/{answered['id']}/runs/{number}/files/labels.nii.gz"
    (folder / "labels.nii.gz").write_bytes(seen.page.request.get(url).body())
    return read_values(folder / "labels.nii.gz")


def test_the_brush_works_by_keyboard(seen: Seen, answered: dict[str, Any]) -> None:
    seen.go(f"{answered['path']}/correct")
    seen.page.wait_for_selector("#viewer[data-loaded]")
    seen.page.locator("#size").fill("1")
    seen.page.focus("#viewer")
    seen.page.keyboard.press("2")
    assert seen.page.get_attribute('[data-pen="1"]', "aria-pressed") == "true"
    for key in ("ArrowLeft", "Shift+ArrowUp", "Space"):
        seen.page.keyboard.press(key)
    assert seen.page.is_enabled("#estimate")
    seen.page.keyboard.press("Control+z")
    assert seen.page.is_disabled("#estimate")


def test_a_page_that_was_turned_away_follows_again(seen: Seen) -> None:
    answers = iter([429])

    def turn_away_once(route: Any) -> None:
        status = next(answers, None)
        route.continue_() if status is None else route.fulfill(status=status)

    seen.page.route("**/api/events", turn_away_once)
    with seen.page.expect_response(lambda answer: answer.url.endswith("/api/events") and answer.ok):
        seen.go("/")


def test_ages_are_rounded_as_the_report_rounds_them(seen: Seen) -> None:
    ages = [12.25, 12.75, 13.25, 12.35, 12.2499, 1234.05]
    seen.go("/")
    rounding = "(ages) => import('/static/words.js').then(({ number }) => ages.map((age) => number(age)))"
    assert seen.page.evaluate(rounding, ages) == [words("en").number(age) for age in ages]


def test_a_page_that_is_not_seen_holds_no_connection(seen: Seen, answered: dict[str, Any]) -> None:
    seen.page.add_init_script(COUNT_STREAMS)
    for path, told in (("/", "/api/examinations?"), (answered["path"], "/events")):
        seen.go(path)
        seen.page.wait_for_function("window.streams === 1")
        seen.page.evaluate(SHOW, True)
        assert seen.page.evaluate("window.streams") == 0
        # What happened meanwhile is asked for.
        with seen.page.expect_response(lambda answer, told=told: told in answer.url and answer.ok):
            seen.page.evaluate(SHOW, False)
        seen.page.wait_for_function("window.streams === 1")


def test_what_was_begun_or_cancelled_goes_on(seen: Seen, server: tuple[str, int], study: list[Path]) -> None:
    seen.drop(study)
    seen.page.wait_for_selector("#series input:checked")
    key = seen.page.request.get(f"{seen.base}/api/examinations?limit=1").json()["items"][0]["id"]
    seen.go(f"/examinations/{key}")
    seen.page.click("#go-on")
    seen.page.wait_for_selector("#series input:checked")
    with no_work(server[1]):
        seen.page.click("#start")
        seen.page.click("#cancel")
        seen.page.wait_for_selector('[data-state="cancelled"]')
    seen.page.click("#go-on")
    seen.page.wait_for_selector("#series input:checked")
    assert seen.page.is_enabled("#start")
    assert f"{len(study)} files" in seen.page.inner_text("#sent-text")


def test_what_is_no_image_says_why(seen: Seen, tmp_path: Path) -> None:
    wrong = tmp_path / "<img src=x onerror=alert(1)>.dcm"
    wrong.write_bytes(b"no image at all")
    seen.drop([wrong])
    seen.page.wait_for_selector("#unsuitable .notice.bad, #series-lead:has-text('No series')")
    assert seen.page.is_disabled("#start")


def test_what_cannot_be_read_says_why(seen: Seen, tmp_path: Path) -> None:
    wrong = tmp_path / "<img src=x onerror=alert(1)>.nii.gz"
    wrong.write_bytes(b"no image at all")
    seen.drop([wrong])
    seen.page.wait_for_selector("#unsuitable .notice.bad")
    # The server knows the file by its hash; the page knows how its user calls it.
    seen.page.wait_for_selector(f"#unsuitable :text('{wrong.name}')")
    assert seen.page.is_disabled("#start")


def test_markup_in_a_header_is_shown_as_text(seen: Seen, study: list[Path], tmp_path: Path) -> None:
    """A study whose texts, identifiers and file names are markup goes all the way, and none of it runs."""
    hostile = [tmp_path / f"{number} {MARKUP.replace('/', '')}.dcm" for number, _ in enumerate(study)]
    for before, after in zip(study, hostile, strict=True):
        instance = dcmread(before)
        for name in ("SeriesDescription", "StudyDescription", "Manufacturer", "ProtocolName", "PatientName"):
            setattr(instance, name, MARKUP)
        instance.save_as(after)
    seen.drop(hostile)
    seen.page.wait_for_selector("#series input:checked")
    assert MARKUP in seen.page.inner_text("#series")
    seen.page.click("#more summary")
    seen.page.fill("#asked", MARKUP)
    # The map of where the age came from is costly, and holds no text.
    seen.page.uncheck("#explain")
    seen.page.click("#start")
    seen.page.wait_for_selector('[data-file="report.pdf"]')
    for fold in seen.page.locator("details summary").all():
        fold.click()
    assert MARKUP in seen.page.inner_text("#below")
    seen.page.goto(seen.page.url.replace(seen.base, f"{seen.base}/api") + "/runs/1/files/report.html")
    assert MARKUP in seen.page.inner_text("body")
    assert seen.page.locator("img[src='x']").count() == 0


def test_what_is_asked_is_what_was_filled_in(seen: Seen, study: list[Path]) -> None:
    asked: list[dict[str, Any]] = []

    def keep(route: Any) -> None:
        asked.append(route.request.post_data_json)
        route.fulfill(status=409, json={"error": {"code": "state", "message": "kept"}})

    def read(table: bytes, told: str) -> None:
        seen.page.set_input_files("#prior-table", {"name": "t.csv", "mimeType": "text/csv", "buffer": table})
        seen.page.wait_for_selector(f"#prior-told:has-text('{told}')")

    seen.page.route("**/runs", keep)
    seen.drop(study)
    seen.page.wait_for_selector("#series input:checked")
    seen.page.fill("#other-thresholds", "13,5")
    seen.page.click("#start")
    seen.page.wait_for_selector("#problem:has-text('one age or two')")
    seen.page.fill("#other-thresholds", "13.5, 21")
    seen.page.click("#more summary")
    seen.page.fill("#height", "500")
    seen.page.click("#more summary")
    seen.page.click("#start")
    assert seen.page.get_attribute("#height", "aria-invalid") == "true"
    assert seen.page.is_visible("#height")
    seen.page.fill("#height", "171.25")
    seen.page.select_option("#prior", "table")
    read(b"age_years;weight\n14;1\n", "needs the columns")
    seen.page.click("#start")
    seen.page.wait_for_selector("#problem:has-text('needs the columns')")
    read(b"weight,age_years\r\n1,14\r\n2.5,19\r\n", "2 ages read")
    seen.page.click("#start")
    seen.page.wait_for_selector("#problem:has-text('kept')")
    (sent,) = asked
    assert sent["thresholds"] == [12, 13.5, 14, 16, 18, 21]
    assert sent["height_cm"] == 171.25
    assert sent["prior_table"] == [{"age_years": 14, "weight": 1}, {"age_years": 19, "weight": 2.5}]
    assert "prior" not in sent


def test_a_refused_study_shows_its_reason(seen: Seen, study: list[Path]) -> None:
    seen.drop(study[:4])
    seen.page.wait_for_selector("#series-lead")
    seen.page.wait_for_selector('#series-card input[name="series"]', state="attached")
    for fold in seen.page.locator("#unsuitable summary").all():
        fold.click()
    seen.page.locator('#series-card input[name="series"]').first.check()
    seen.page.click("#start")
    seen.page.wait_for_selector("#reasons")
    assert "No age is given" in seen.page.inner_text("#reasons")
    assert seen.page.locator("#reasons .advice").first.inner_text()
    token = seen.page.request.get(f"{seen.base}/api/session").json()["csrf_token"]
    path = seen.page.url.removeprefix(seen.base)
    while seen.page.request.post(f"{seen.base}/api{path}/purge", headers={"X-CSRF-Token": token}).status == 409:
        seen.page.wait_for_timeout(200)  # its documents are being written
    seen.page.wait_for_selector('[data-state="purged"]')
    seen.go(path)
    seen.page.wait_for_selector("#refusal .notice:has-text('removed')")
    assert not seen.page.is_visible("#problem")
    assert not seen.page.is_visible("#answer-area")


def test_the_language_and_the_theme_switch_and_stay(seen: Seen) -> None:
    seen.go("/new")
    seen.page.fill("#reference", "A 7")
    seen.page.click("#language")
    assert seen.page.inner_text("h1") == "新建检查"
    assert seen.page.get_attribute("html", "lang") == "zh-Hans"
    assert seen.page.input_value("#reference") == "A 7"
    seen.page.click("#theme")
    assert seen.page.get_attribute("html", "data-theme") == "dark"
    seen.go("/about")
    assert seen.page.get_attribute("html", "data-theme") == "dark"
    assert seen.page.get_attribute("html", "lang") == "zh-Hans"


def test_the_list_finds_and_says_when_it_finds_nothing(seen: Seen, answered: dict[str, Any]) -> None:
    seen.go("/")
    assert seen.page.locator(f'a[href="{answered["path"]}"]').count() == 1
    seen.page.fill("#search", "nobody has this reference")
    seen.page.wait_for_selector("#list .empty")


@pytest.mark.parametrize("path", ["//evil.example/", "https://evil.example/", "/\\evil.example/", "evil"])
def test_a_login_leads_to_no_other_server(seen: Seen, path: str) -> None:
    session = {"user": "ann", "login_required": True, "csrf_token": "0"}
    seen.page.route("**/api/session", lambda route: route.fulfill(json=session))
    seen.go(f"/login?next={quote(path, safe='')}")
    seen.page.fill("#name", "ann")
    seen.page.fill("#password", "a password")
    seen.page.click("button[type=submit]")
    seen.page.wait_for_url(f"{seen.base}/")


@pytest.mark.parametrize(
    "path",
    ["/", "/new", "EXAMINATION", "EXAMINATION/correct", "/studies", "/bundles", "CARD", "/about", "/login", "/nothing"],
)
def test_axe_reports_nothing_serious(seen: Seen, answered: dict[str, Any], path: str) -> None:
    bundle = seen.page.request.get(f"{seen.base}/api/bundles").json()["items"][0]["id"]
    seen.go(path.replace("EXAMINATION", answered["path"]).replace("CARD", f"/bundles/{bundle}/card"))
    seen.page.evaluate(AXE)
    for theme in ("light", "dark"):
        seen.page.emulate_media(color_scheme=theme)
        found = seen.page.evaluate("async () => (await axe.run({ resultTypes: ['violations'] })).violations")
        serious = {
            rule["id"]: [node["html"][:200] for node in rule["nodes"]]
            for rule in found
            if rule["impact"] in ("serious", "critical")
        }
        assert serious == {}, theme


@pytest.mark.parametrize("path", ["/", "/new", "EXAMINATION", "EXAMINATION/correct", "/bundles", "/about"])
def test_a_tablet_shows_everything(seen: Seen, answered: dict[str, Any], path: str) -> None:
    seen.page.set_viewport_size({"width": 820, "height": 1180})
    seen.go(path.replace("EXAMINATION", answered["path"]))
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 820
    heights = "[...document.querySelectorAll('main button, main .button')].map((part) => part.offsetHeight)"
    assert [height for height in seen.page.evaluate(heights) if 0 < height < 44] == []
