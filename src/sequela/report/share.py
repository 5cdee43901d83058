"""The parts of a run that are safe to publish, written to a new folder and searched."""

import base64
import binascii
import gzip
import io
import json
import re
import shutil
import struct
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from sequela.config import SMALLEST_CELL
from sequela.disclosure.disclosure import Hidden, as_json, is_small
from sequela.errors import OutputError, RunError, SettingError
from sequela.files import scratch, writing
from sequela.report.card import build_card
from sequela.report.pages.build import build
from sequela.runs.find import Run
from sequela.runs.folder import RunFolder
from sequela.runs.model import FILE
from sequela.runs.released import Released, least_named, of_people, smallest_shown
from sequela.training.history import to_lines

PAGE, CARD, NUMBERS, HISTORY = "report.html", "card.md", "numbers.json", "history.jsonl"
LEFT_OUT = "left-out.txt"
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
    "examples", "subjects", "positives", "groups", "removed", "left", "candidates", "counts",
    "confusion", "training_subjects", "examples_without_events",
}  # fmt: skip


def share(
    run: Run, out: Path, *, hide_below: int | None = None, model: bool = False
) -> tuple[list[Path], list[str]]:
    """Write the parts of a run that are safe to publish, whatever the licence, to a new folder.

    Args:
        run: A finished run, or folds.
        out: The folder, which must not exist; after an error it does not exist either.
        hide_below: Counts of people below this number are hidden (default: 10).
        model: Whether to add the weights with their vocabulary.

    Returns:
        The files, and the lines of ``left-out.txt``: what was left out, and why.

    Raises:
        OutputError: If ``out`` exists or cannot be written.
        SettingError: If the run has folds with one model each.
        RunError: If no page, card or numbers are left to publish.
    """
    hide_below = hide_below or SMALLEST_CELL
    smallest = smallest_shown(run.data, hide_below)
    if out.exists():
        raise OutputError(f"{out}: exists already: name a new folder with --out")
    with writing(out), scratch(out.with_name(f".{out.name}.work")) as work:
        work.mkdir(parents=True)
        # The model may be refused, so it comes before the evaluation on the test set.
        left_out = [*_add_model(run, work, smallest)] if model else []
        left_out += _write(run, work, hide_below)
        left_out += _search(run, work, smallest)
        if not any((work / name).exists() for name in (PAGE, CARD, NUMBERS)):
            raise RunError(f"nothing of {run.path} can be published: {'; '.join(left_out)}")
        if left_out:
            (work / LEFT_OUT).write_text("".join(f"{line}\n" for line in left_out), "utf-8")
        shutil.move(work, out)
    return sorted(out.rglob("*")), left_out


def _write(run: Run, out: Path, hide_below: int) -> Iterator[str]:
    """Write page, card, numbers, and files without single people; yield what is left out."""
    build([run], out / PAGE, hide_below)
    build_card(run, out / CARD, hide_below)
    shown = Released(run, hide_below)
    settings = run.settings.model_dump(mode="json", exclude_none=True)
    if cohort := settings.get("cohort"):
        cohort.pop("labels", None)  # a path of this machine
    numbers = {
        "smallest_cell": shown.smallest,
        "settings": settings,
        "data": shown.data,
        "split": run.describe_split(),
        "facts": run.facts,
        "test": shown.test,
        "leaks": shown.metrics.leaks,
        "suspicions": shown.metrics.suspicions,
    }
    text = json.dumps(as_json(numbers), indent=1, ensure_ascii=False)
    (out / NUMBERS).write_text(f"{text}\n", "utf-8")
    for name in _COPIED:
        if (source := run.first.path / name).exists():
            (out / name).write_bytes(source.read_bytes())
    if shown.history:
        (out / HISTORY).write_text(to_lines(shown.history), "utf-8")
    hidden = [".".join(place) for place, each in _leaves(numbers) if isinstance(each, Hidden)]
    if hidden:
        few = f"it is, or reveals, a count of fewer than {shown.smallest} people"
        yield f"{', '.join(dict.fromkeys(hidden))} (in {PAGE}, {CARD} and {NUMBERS}): {few}"
    if shown.history != run.first.history:
        yield f"metrics of epochs (in {HISTORY}): an accuracy reveals a count of few people"


def _add_model(run: Run, out: Path, smallest: int) -> Iterator[str]:
    if not isinstance(run, RunFolder):
        raise SettingError(
            f"{run.path}: each fold has its own model: share one, such as {run.first.path}"
        )
    least = least_named(run.data)
    if least is not None and least < smallest:
        yield (
            f"{FILE}: its vocabulary may name codes of only {least} training subject(s), fewer "
            f"than {smallest}: train it with --min-subjects {smallest} to share it"
        )
        return
    shutil.copyfile(run.path / FILE, out / FILE)


def _search(run: Run, out: Path, smallest: int) -> Iterator[str]:
    """Delete files with an id, a rare name or a small count; yield the reason, not the value."""
    people = of_people(run.data)
    ids = _ids(run) if people else set()
    names = _names_of_few(run, smallest) if people else None
    harmless = _numbers(run)
    for path in sorted(out.rglob("*")):
        problem = ""
        for part in parts_of(path.read_bytes()):
            found = {token.rstrip(b".:+-@") for token in _TOKEN.findall(part)}
            found |= set(_WORD.findall(part))
            if ids & (found - harmless):
                problem = "the id of a subject or example"
            elif names and names.search(part):
                problem = f"a name that fewer than {smallest} people have"
        if people and path.name == NUMBERS:
            leaves = _leaves(json.loads(path.read_text("utf-8")))
            counts = [n for place, n in leaves if place[-1] in _COUNTS]
            if any(isinstance(n, int) and is_small(n, smallest) for n in counts):
                problem = f"a count of fewer than {smallest} people"
        if problem:
            path.unlink()
            yield f"{path.name}: it would contain {problem}"


def _ids(run: Run) -> set[bytes]:
    """Return the ids of examples, subjects and groups that are too long to occur by chance."""
    of_runs = [each.predictions for each in run.runs]
    ids = [each for p in of_runs for each in (p.example_id, p.subject_id, p.group_id)]
    found = np.unique(np.concatenate(ids)).tolist()
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
    title = json.dumps(run.data.task or "")
    templates = (Path(__file__).parent / "templates").iterdir()
    # Page and card have the words of the templates, whoever the people are.
    own = {word for each in templates for word in re.findall(r"\w+", each.read_text("utf-8"))}
    found = {name for name in found - common - own if name not in title}
    words = [re.escape(name.encode()) for name in sorted(found) if len(name) >= _SHORTEST_NAME]
    return re.compile(rb"(?<!\w)(?:" + b"|".join(words) + rb")(?!\w)") if words else None


def _people_of_codes(run: Run) -> Counter[str]:
    """Count the subjects of each code, from the training set or as the audit counted."""
    known = run.data.sequences.frequent if run.data.sequences else ()
    counts = [(row["code"], row["training_subjects"]) for row in known]
    for each in run.runs:
        for finding in (*each.metrics.leaks, *each.metrics.suspicions):
            counts += [
                (code["name"], code["people"])
                for code in finding.get("codes", ())
                if code["people"] is not None
            ]
    found = Counter[str]()
    for code, people in counts:
        found[code] = max(found[code], people)
    return found


def _numbers(run: Run) -> set[bytes]:
    """Return numbers of a run other than ids, such as its parameters."""
    texts = [json.dumps(run.settings.model_dump(mode="json")), json.dumps(run.environment)]
    texts += [json.dumps(as_json(each)) for each in (run.facts, run.test, run.data)]
    cost = run.first.path / "cost.json"
    texts += [cost.read_text("utf-8")] if cost.exists() else []
    return {number.encode() for text in texts for number in re.findall(r"\d+", text)}


def _leaves(value: Any, place: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield each number or text, and the names under which it is."""
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield from _leaves(each, (*place, key))
    elif isinstance(value, list):
        for each in value:
            yield from _leaves(each, place)
    else:
        yield place, value


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
        size, kind = struct.unpack_from(">I4s", content, place)
        data = content[place + 8 : place + 8 + size]
        if kind in (b"zTXt", b"iTXt") and b"x" in data:
            packed = data[data.index(b"x", data.index(b"\0")) :]
            with suppress(zlib.error):
                yield zlib.decompressobj().decompress(packed, _MOST)
        place += size + 12
