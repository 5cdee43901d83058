"""The parts of a run that are safe to publish, written to a new folder and searched."""

import base64
import binascii
import gzip
import io
import json
import re
import shutil
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from sequela.cohort.overlaps import FEW
from sequela.config import SMALLEST_CELL
from sequela.errors import OutputError, RunError, SettingError
from sequela.evaluation.disclosure import as_json, codes_in, is_small
from sequela.files import scratch, writing
from sequela.report.build import build
from sequela.report.card import build_card
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.model import FILE
from sequela.runs.released import Released, least_named, of_people
from sequela.training.history import to_lines

PAGE, CARD, NUMBERS, HISTORY = "report.html", "card.md", "numbers.json", "history.jsonl"
_COPIED = ("cost.json", "environment.json")
_SHORTEST_ID = 5
"""Characters from which an id is not in a page by chance."""
_SHORTEST_NAME = 4
_TOKEN = re.compile(rb"[0-9A-Za-z_@.:+-]+(?:[ T][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?)?")
_WORD = re.compile(rb"[0-9A-Za-z_-]+")
_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{24,}={0,2}")
_DEEPEST = 4
_MOST = 1 << 28  # bytes of a part that is unpacked
_COUNTS = {
    "examples",
    "subjects",
    "positives",
    "groups",
    "removed",
    "left",
    "candidates",
    "counts",
    "confusion",
    "training_subjects",
    "examples_without_events",
}


def share(run: Run, out: Path, *, smallest: int = SMALLEST_CELL, model: bool = False) -> list[Path]:
    """Write the parts of a run that are safe to publish into a new folder.

    Args:
        run: A finished run, or folds.
        out: The folder, which must not exist; after an error it does not exist either.
        smallest: The smallest count of people that is shown.
        model: Whether to add the weights with their vocabulary.

    Returns:
        The files.

    Raises:
        OutputError: If ``out`` exists or cannot be written.
        SettingError: If the model names codes that too few training subjects have, or the run has
            folds with one model each.
        RunError: If a written file contains something that must not be published.
    """
    if out.exists():
        raise OutputError(f"{out}: exists already: name a new folder with --out")
    with writing(out), scratch(out.with_name(f".{out.name}.work")) as work:
        work.mkdir(parents=True)
        if model:  # may be refused, so it comes before the evaluation on the test set
            _add_model(run, work, smallest)
        _write(run, work, smallest)
        _search(run, work, smallest)
        shutil.move(work, out)
    return sorted(out.rglob("*"))


def _write(run: Run, out: Path, smallest: int) -> None:
    """Write the page, the card, the numbers, and files that describe no single people."""
    build([run], out / PAGE, smallest)
    build_card(run, out / CARD, smallest)
    shown = Released(run, smallest)
    settings = run.settings.model_dump(mode="json", exclude_none=True)
    if cohort := settings.get("cohort"):
        cohort.pop("labels", None)  # a path of this machine
    numbers = {
        "smallest_cell": smallest,
        "settings": settings,
        "data": shown.data,
        "split": run.describe_split(),
        "facts": run.facts,
        "test": shown.test,
        "leaks": shown.metrics["leaks"],
        "suspicions": shown.metrics["suspicions"],
    }
    text = json.dumps(as_json(numbers), indent=1, ensure_ascii=False)
    (out / NUMBERS).write_text(f"{text}\n", "utf-8")
    for name in _COPIED:
        if (source := run.first.path / name).exists():
            (out / name).write_bytes(source.read_bytes())
    if shown.history:
        (out / HISTORY).write_text(to_lines(shown.history), "utf-8")


def _add_model(run: Run, out: Path, smallest: int) -> None:
    if not isinstance(run, RunFolder):
        raise SettingError(
            f"{run.path}: each fold has its own model: share one, such as {run.first.path}"
        )
    least = least_named(run.data)
    if least is not None and least < smallest:
        raise SettingError(
            f"{run.path}: the model's vocabulary may name codes of only {least} training "
            f"subject(s), fewer than {smallest}: train it with --min-subjects {smallest}, or share "
            "the run without --model"
        )
    shutil.copyfile(run.path / FILE, out / FILE)


def _search(run: Run, out: Path, smallest: int) -> None:
    """Raise an error that names the file of an id, a rare name or a small count, not its value."""
    people = of_people(run.data)
    ids = _ids(run) if people else set()
    names = _names_of_few(run, smallest) if people else None
    harmless = _numbers(run)
    for path in sorted(out.rglob("*")):
        for part in parts_of(path.read_bytes()):
            found = {token.rstrip(b".:+-@") for token in _TOKEN.findall(part)}
            found |= set(_WORD.findall(part))
            if ids & (found - harmless):
                raise RunError(_refusal(path, "the id of a subject or example"))
            if names and names.search(part):
                raise RunError(_refusal(path, f"a name that fewer than {smallest} people have"))
    if people:
        numbers = json.loads((out / NUMBERS).read_text("utf-8"))
        if any(is_small(count, smallest) for count in _counts_in(numbers)):
            raise RunError(_refusal(out / NUMBERS, f"a count of fewer than {smallest} people"))


def _refusal(path: Path, what: str) -> str:
    return f"{path.name} would contain {what}, so nothing was written: do not publish this run"


def _ids(run: Run) -> set[bytes]:
    """Return the ids of examples, subjects and groups that are too long to occur by chance."""
    found: set[str] = set()
    for each in run.runs:
        predictions = each.predictions
        for ids in (predictions.example_id, predictions.subject_id, predictions.group_id):
            found |= set(np.unique(ids).tolist())
    return {one.encode() for one in found if len(one) >= _SHORTEST_ID}


def _names_of_few(run: Run, smallest: int) -> re.Pattern[bytes] | None:
    """Return a pattern for values of attributes, and codes, that few subjects have."""
    found: set[str] = set()
    subject = run.predictions.subject_id
    common: set[str] = set()
    for values in run.attributes.values():
        for value in np.unique(values).tolist():
            few = is_small(len(np.unique(subject[values == value])), smallest)
            (found if few else common).add(value)
    found |= {code for code, people in _people_of_codes(run).items() if people < smallest}
    title = json.dumps(run.data["task"]) if "task" in run.data else ""
    found = {name for name in found - common if name not in title}
    words = [re.escape(name.encode()) for name in sorted(found) if len(name) >= _SHORTEST_NAME]
    return re.compile(rb"(?<!\w)(?:" + b"|".join(words) + rb")(?!\w)") if words else None


def _people_of_codes(run: Run) -> Counter[str]:
    """Count the subjects of each code, from the training set or as the audit counted."""
    known = run.data.get("sequences", {}).get("frequent", ())
    counts = [(row["code"], row["training_subjects"]) for row in known]
    for each in run.runs:
        for finding in (*each.metrics["leaks"], *each.metrics["suspicions"]):
            counts += codes_in(finding["where"])
    found = Counter[str]()
    for code, people in counts:
        if code != FEW:
            found[code] = max(found[code], people)
    return found


def _numbers(run: Run) -> set[bytes]:
    """Return numbers of a run other than ids, such as its parameters."""
    texts = [json.dumps(run.facts), json.dumps(run.settings.model_dump(mode="json"))]
    texts += [json.dumps(run.environment), json.dumps(run.test), json.dumps(run.data)]
    cost = run.first.path / "cost.json"
    texts += [cost.read_text("utf-8")] if cost.exists() else []
    return {number.encode() for text in texts for number in re.findall(r"\d+", text)}


def _counts_in(value: Any, name: str = "") -> Iterator[int]:
    """Yield counts of people in the numbers, found by their names."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _counts_in(each, key)
    elif isinstance(value, list):
        for each in value:
            yield from _counts_in(each, name)
    elif name in _COUNTS and isinstance(value, int):
        yield value


def parts_of(content: bytes, depth: int = 0) -> Iterator[bytes]:
    """Yield bytes, and what is packed in them: archives, compressed streams, base64, URLs."""
    yield content
    if depth == _DEEPEST:
        return
    for inner in _unpacked(content):
        yield from parts_of(inner, depth + 1)


def _unpacked(content: bytes) -> Iterator[bytes]:
    if content[:2] == b"\x1f\x8b":
        with gzip.GzipFile(fileobj=io.BytesIO(content)) as file:
            yield file.read(_MOST)
    if content[:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for name in archive.namelist():
                yield name.encode()
                yield archive.read(name)
    if content[:1] == b"\x78":
        with suppress(zlib.error):
            yield zlib.decompressobj().decompress(content, _MOST)
    if content[:8] == b"\x89PNG\r\n\x1a\n":
        yield from _texts_of_png(content)
    for found in set(_BASE64.findall(content)):
        text = found.translate(bytes.maketrans(b"-_", b"+/")).rstrip(b"=")
        try:
            yield base64.b64decode(text + b"=" * (-len(text) % 4))
        except binascii.Error:
            continue
    if b"%" in content and (plain := unquote_to_bytes(content)) != content:
        yield plain


def _texts_of_png(content: bytes) -> Iterator[bytes]:
    """Yield the text chunks of a PNG, unpacked where they are compressed."""
    place = 8
    while place + 8 <= len(content):
        size, kind = (
            int.from_bytes(content[place : place + 4], "big"),
            content[place + 4 : place + 8],
        )
        data = content[place + 8 : place + 8 + size]
        if kind in (b"zTXt", b"iTXt") and b"x" in data:
            packed = data[data.index(b"x", data.index(b"\0")) :]
            with suppress(zlib.error):
                yield zlib.decompressobj().decompress(packed, _MOST)
        place += size + 12
