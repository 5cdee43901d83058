"""The download of a data set into the user's cache, with a proof of its content.

The publisher of the Bonn data publishes no checksums of the five zip files. So each file is checked
by its content: it must be a whole zip file (every entry carries a checksum) of the 100 recordings
that also ship with sequela, equal value by value.

Readers see nothing before all five files are checked: they are collected in a temporary folder,
which is then renamed. After a failure the next call continues with the file that is missing.
"""

from http.client import HTTPException
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import numpy as np
from rich.console import Console

from sequela.datasets import catalog
from sequela.datasets.catalog import DATA_SETS, EXCERPTS, loaded, lookup
from sequela.errors import DataError, DataNotFoundError, DownloadError
from sequela.files import make_folder, writing
from sequela.signals import bonn
from sequela.version import __version__

TIMEOUT = 30  # seconds without an answer or a byte

_UPF = "https://www.upf.edu/documents/229517819/234490509"
BONN_FILES = {
    "Z": f"{_UPF}/Z.zip/9c4a0084-c0d6-3cf6-fe48-8a8767713e67",
    "O": f"{_UPF}/O.zip/f324f98f-1ade-e912-b89d-e313ac362b6a",
    "N": f"{_UPF}/N.zip/d4f08e2d-3b27-1a6a-20fe-96dcf644902b",
    "F": f"{_UPF}/F.zip/8219dcdd-d184-0474-e0e9-1ccbba43aaee",
    "S": f"{_UPF}/S.zip/7647d3f7-c6bb-6d72-57f7-8f12972896a6",
}


def get(name: str, url: str | None = None) -> Path:
    """Fetch a data set into the user's cache, and return its folder."""
    data_set = lookup(name)
    if not data_set.fetches:
        fetchable = ", ".join(key for key, entry in DATA_SETS.items() if entry.fetches)
        raise DataNotFoundError(
            f"{name} cannot be fetched by a command, expected one of {fetchable}: "
            f"{data_set.how_to_get}"
        )
    return Path(loaded(data_set.fetches)(catalog.cache_folder(name), url))


def get_bonn(folder: Path, url: str | None = None) -> Path:
    """Fetch the five zip files of the Bonn data into ``folder``, unless they are there.

    The folder is created when all five are checked. ``url`` is the address of a folder with Z.zip,
    O.zip, N.zip, F.zip and S.zip; the publisher's by default.
    """
    if folder.exists():
        # The files may have changed since they were fetched, so they are checked again.
        for letter in bonn.PUBLISHED_ORDER:
            _prove_kept(folder / f"{letter}.zip", letter, delete=folder)
        return folder
    gathering = folder.with_name(f"{folder.name}-incomplete")
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    with writing(gathering):
        make_folder(gathering)
        for letter in bonn.PUBLISHED_ORDER:
            file = gathering / f"{letter}.zip"
            if file.exists():
                _prove_kept(file, letter, delete=file)
                console.print(f"{file.name} is there already")
                continue
            _download(f"{url.rstrip('/')}/{file.name}" if url else BONN_FILES[letter], file, letter)
            console.print(f"{file.name} fetched, {file.stat().st_size:,} bytes")
        gathering.rename(folder)
    return folder


def _download(url: str, file: Path, letter: str) -> None:
    """Fetch one set's zip file; it gets its name only after the check."""
    by_hand = (
        f"open {url} in a browser, save the file as {file}, and run `sequela data get bonn` again"
    )
    try:
        request = Request(url, headers={"User-Agent": f"sequela/{__version__}"})  # noqa: S310
        with urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310 - the user's own address
            content = response.read()
    except (OSError, HTTPException, ValueError) as error:
        # An HTTPError is an open response as well.
        if isinstance(error, HTTPError):
            error.close()
        raise DownloadError(f"{url} could not be fetched ({error}): {by_hand}") from error
    unproved = file.with_name(f"tmp-{file.name}")
    unproved.write_bytes(content)
    try:
        _prove(unproved, letter)
        unproved.rename(file)
    except DataError as error:
        raise DownloadError(f"{url} did not send the published file: {error}; {by_hand}") from error
    finally:
        unproved.unlink(missing_ok=True)


def _prove_kept(file: Path, letter: str, delete: Path) -> None:
    """Check an existing file, or state what to delete."""
    try:
        _prove(file, letter)
    except DataError as error:
        raise DownloadError(
            f"{file} is not the published file: {error}; delete {delete} and run "
            f"`sequela data get bonn` again"
        ) from error


def _prove(file: Path, letter: str) -> None:
    """Raise a DataError unless a file is the published zip file of a set."""
    if not file.is_file():
        raise DataError("it does not exist")
    with file.open("rb") as content:
        # A page that checks for a browser comes with the status of success.
        start = content.read(200).lstrip()
    if start.startswith(b"<"):
        raise DataError("it is a web page, such as sites send to check for a browser")
    try:
        signals = {rec.recording_id: rec.signal for rec in bonn.read_set(file, letter)}
    except DataError as error:
        finding, _, _ = str(error).replace(f"{file}", "it").rpartition(";")
        raise DataError(finding) from error
    excerpt = bonn.read_excerpt(EXCERPTS / DATA_SETS["bonn"].excerpt)
    shipped = [recording for recording in excerpt if recording.recording_id[0] == letter]
    if len(signals) != len(shipped):
        raise DataError(f"it holds {len(signals)} recordings, expected {len(shipped)}")
    for recording in shipped:
        signal = signals.get(recording.recording_id)
        if signal is None or not np.array_equal(signal, recording.signal):
            raise DataError(
                f"its recording {recording.recording_id} is not the one that ships with sequela"
            )
