"""Fetching, against a local HTTP server that also misbehaves."""

import io
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sequela.datasets.catalog import EXCERPTS, Recording, load_recordings, lookup
from sequela.errors import DownloadError, OutputError
from sequela.intake import fetch

Answer = Callable[[BaseHTTPRequestHandler, bytes], None]


def zip_of(files: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return content.getvalue()


LAST = 10
"""Number of a set's last recording here."""


@pytest.fixture(scope="module", autouse=True)
def small_sets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Sets of ten recordings, not of a hundred."""
    folder = tmp_path_factory.mktemp("excerpts")
    table = pq.read_table(EXCERPTS / "bonn.parquet")
    shipped = [int(name[1:]) <= LAST for name in table["recording_id"].to_pylist()]
    pq.write_table(table.filter(pa.array(shipped)), folder / "bonn.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fetch, "EXCERPTS", folder)
        yield


@pytest.fixture(scope="module")
def published(
    excerpt: dict[str, Recording], as_text: Callable[[Recording], bytes]
) -> dict[str, dict[str, bytes]]:
    """The files of each set."""
    return {
        letter: {
            f"{letter}{number:03d}.{'TXT' if letter == 'N' else 'txt'}": (
                as_text(excerpt[f"{letter}{number:03d}"])
            )
            for number in range(1, LAST + 1)
        }
        for letter in "ZONFS"
    }


@pytest.fixture(scope="module")
def zips(published: dict[str, dict[str, bytes]]) -> dict[str, bytes]:
    return {f"/{letter}.zip": zip_of(files) for letter, files in published.items()}


def sent(*, states_length: bool = True, parts: int = 1, content: bytes | None = None) -> Answer:
    """All or the first of some parts, with the length of all or without one."""

    def answer(request: BaseHTTPRequestHandler, asked: bytes) -> None:
        whole = asked if content is None else content
        request.send_response(200)
        if states_length:
            request.send_header("Content-Length", str(len(whole)))
        request.end_headers()
        request.wfile.write(whole[: len(whole) // parts])

    return answer


ANSWERS: dict[str, Answer] = {
    "broken_off": sent(parts=2),
    "broken_off_without_a_length": sent(states_length=False, parts=2),
    "web_page": sent(content=b"\n<!DOCTYPE html><title>Checking your browser</title>"),
    "unavailable": lambda request, _: request.send_error(503),
}


class Server:
    """Answers from ``zips``; ``answers`` holds for a path what to answer instead."""

    def __init__(self, zips: dict[str, bytes]) -> None:
        self.contents = dict(zips)
        self.answers: dict[str, Answer] = {}
        self.asked: list[str] = []
        server = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                server.asked.append(self.path)
                answer = server.answers.get(self.path) or sent()
                answer(self, server.contents[self.path])

            def log_message(self, *_: object) -> None: ...

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"


@pytest.fixture
def server(zips: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    served = Server(zips)
    thread = threading.Thread(target=served.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


def names(folder: Path) -> list[str]:
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*"))


def test_the_five_files_are_fetched_once_and_then_found(
    server: Server,
    no_data: Path,
    excerpt: dict[str, Recording],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    folder = fetch.get("bonn", server.url + "/")
    sizes = {letter: len(server.contents[f"/{letter}.zip"]) for letter in "ZONFS"}
    lines = [f"{letter}.zip fetched, {size:,} bytes" for letter, size in sizes.items()]
    assert capsys.readouterr().err.splitlines() == lines
    assert folder == no_data / "bonn"
    assert names(no_data) == ["bonn", *(f"bonn/{letter}.zip" for letter in "FNOSZ")]
    recordings, located = load_recordings("bonn")
    assert len(recordings) == 5 * LAST
    assert "`sequela data get bonn` put under" in located.origin
    by_id = {each.recording_id: each for each in recordings}
    shipped = excerpt.keys() & by_id.keys()
    assert len(shipped) == 5 * LAST
    for recording_id in shipped:
        np.testing.assert_array_equal(by_id[recording_id].signal, excerpt[recording_id].signal)
    server.asked.clear()
    assert fetch.get("bonn", server.url) == folder
    assert server.asked == []
    (folder / "S.zip").unlink()
    said = rf"S.zip is not .*: it does not exist; delete {folder}"
    with pytest.raises(DownloadError, match=said):
        fetch.get("bonn", server.url)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("broken_off", "could not be fetched"),
        ("broken_off_without_a_length", "it is damaged"),
        ("web_page", "it is a web page, such as sites send to check for a browser"),
        ("unavailable", "could not be fetched .HTTP Error 503"),
    ],
)
def test_what_the_site_does_wrong_leaves_no_half_file(
    server: Server, no_data: Path, answer: str, message: str
) -> None:
    server.answers["/N.zip"] = ANSWERS[answer]
    with pytest.raises(DownloadError, match=message) as caught:
        fetch.get("bonn", server.url)
    place = no_data / "bonn-incomplete"
    assert f"open {server.url}/N.zip in a browser, save the file as {place / 'N.zip'}" in str(
        caught.value
    )
    assert names(no_data) == ["bonn-incomplete", "bonn-incomplete/O.zip", "bonn-incomplete/Z.zip"]
    assert "ships with sequela" in lookup("bonn").locate().origin
    # The next time goes on where this one stopped.
    del server.answers["/N.zip"]
    server.asked.clear()
    fetch.get("bonn", server.url)
    assert server.asked == ["/N.zip", "/F.zip", "/S.zip"]
    assert len(names(no_data / "bonn")) == 5


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "nowhere"])
def test_nobody_answers(url: str, no_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DownloadError, match=f"{url}/Z.zip could not be fetched"):
        fetch.get("bonn", url)


def test_other_data_than_published_are_refused(
    server: Server, no_data: Path, published: dict[str, dict[str, bytes]]
) -> None:
    def refuse(files: dict[str, bytes], message: str) -> None:
        server.contents["/Z.zip"] = zip_of(files)
        with pytest.raises(DownloadError, match=message):
            fetch.get("bonn", server.url)
        assert names(no_data) == ["bonn-incomplete"]

    files = published["Z"]
    without_one = {name: text for name, text in files.items() if name != "Z006.txt"}
    refuse(without_one, "it holds 9 recordings, expected 10")
    one_sample = files["Z001.txt"].replace(b"\n", b"1\n", 1)
    refuse(files | {"Z001.txt": one_sample}, "recording Z001 is not the one that ships")
    refuse({**without_one, "Z101.txt": files["Z006.txt"]}, "recording Z006 is not the one")
    refuse(files | {"Z002.txt": b"1\n2\n"}, r"it/Z002.txt ends at line 2: expected 4,097 samples")
    refuse(published["O"], r"it/O001.txt is not a recording of set Z")


def test_files_put_there_by_hand_are_used(
    server: Server, no_data: Path, zips: dict[str, bytes]
) -> None:
    place = no_data / "bonn-incomplete"
    place.mkdir(parents=True)
    for name, content in zips.items():
        (place / name.lstrip("/")).write_bytes(content)
    assert fetch.get("bonn", server.url) == no_data / "bonn"
    assert server.asked == []
    assert names(no_data / "bonn") == [f"{letter}.zip" for letter in "FNOSZ"]


def test_a_wrong_file_put_there_by_hand_is_named(server: Server, no_data: Path) -> None:
    file = no_data / "bonn-incomplete" / "O.zip"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"<html>")
    with pytest.raises(DownloadError, match=f"O.zip is not .*: it is a web page.*; delete {file}"):
        fetch.get("bonn", server.url)
    assert file.read_bytes() == b"<html>"


def test_the_publishers_files_are_asked_for_without_a_url(
    server: Server, no_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert all(
        address.startswith(f"https://www.upf.edu/documents/229517819/234490509/{letter}.zip/")
        for letter, address in fetch.BONN_FILES.items()
    )
    addresses = {letter: f"{server.url}/{letter}.zip" for letter in fetch.BONN_FILES}
    monkeypatch.setattr(fetch, "BONN_FILES", addresses)
    fetch.get("bonn")
    assert server.asked == [f"/{letter}.zip" for letter in "ZONFS"]


def test_a_cache_that_cannot_be_written_is_named(server: Server, no_data: Path) -> None:
    no_data.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match=r"cache.*: a file is where a folder is expected"):
        fetch.get("bonn", server.url)
