"""The parts of a run that are safe to publish, written to a new folder."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from sequela.config import SMALLEST_CELL
from sequela.disclosure import Hidden, as_json
from sequela.errors import OutputError, RunError, SettingError
from sequela.files import scratch, writing
from sequela.report.card import build_card
from sequela.report.pages.build import build
from sequela.runs.find import Run
from sequela.runs.folder import COST, RunFolder
from sequela.runs.model import FILE
from sequela.runs.released import Released, few_named, leaves, names_people, smallest_shown
from sequela.training.history import to_lines

PAGE = "report.html"
CARD = "card.md"
NUMBERS = "numbers.json"
HISTORY = "history.jsonl"
LEFT_OUT = "left-out.txt"
_COPIED = (COST, "environment.json")


def share(
    run: Run, out: Path, *, hide_below: int | None = None, model: bool = False
) -> tuple[list[Path], list[str]]:
    """Write the parts of a run that are safe to publish, whatever the licence, to a new folder.

    Counts of people below ``hide_below`` (default: 10) are hidden; ``model`` adds the weights with
    their vocabulary. Returns the files, and the lines of ``left-out.txt``: what was left out, and
    why. After an error, the folder does not exist.
    """
    hide_below = hide_below or SMALLEST_CELL
    smallest = smallest_shown(run.data, hide_below)
    if out.exists():
        raise OutputError(f"{out}: exists already: name a new folder with --out")
    # Moved at the end, so that an error leaves nothing half published.
    with writing(out), scratch(out.with_name(f".{out.name}.work")) as work:
        work.mkdir(parents=True)
        # The model may be refused, so it comes before the evaluation on the test set.
        left_out = [*_add_model(run, work, smallest)] if model else []
        left_out += _write(run, work, hide_below)
        left_out += _remove_files_with_ids(run, work)
        if not any((work / name).exists() for name in (PAGE, CARD, NUMBERS)):
            raise RunError(f"nothing of {run.path} can be published: {'; '.join(left_out)}")
        if left_out:
            (work / LEFT_OUT).write_text("".join(f"{line}\n" for line in left_out), "utf-8")
        shutil.move(work, out)
    return sorted(out.rglob("*")), left_out


def _write(run: Run, out: Path, hide_below: int) -> Iterator[str]:
    build([run], out / PAGE, hide_below)
    build_card(run, out / CARD, hide_below)
    public = Released(run, hide_below)
    settings = run.settings.model_dump(mode="json", exclude_none=True)
    if cohort := settings.get("cohort"):
        cohort.pop("labels", None)  # a path of this machine
    numbers = {
        "smallest_cell": public.smallest,
        "settings": settings,
        "data": public.data,
        "split": run.describe_split(),
        "facts": run.facts,
        "test": public.test,
        "leaks": public.metrics.leaks,
        "suspicions": public.metrics.suspicions,
    }
    text = json.dumps(as_json(numbers), indent=1, ensure_ascii=False)
    (out / NUMBERS).write_text(f"{text}\n", "utf-8")
    for name in _COPIED:
        if (source := run.first.path / name).exists():
            (out / name).write_bytes(source.read_bytes())
    if public.history:
        (out / HISTORY).write_text(to_lines(public.history), "utf-8")
    hidden = [".".join(place) for place, leaf in leaves(numbers) if isinstance(leaf, Hidden)]
    if hidden:
        few = f"it is, or reveals, a count of fewer than {public.smallest} people"
        yield f"{', '.join(dict.fromkeys(hidden))} (in {PAGE}, {CARD} and {NUMBERS}): {few}"
    if public.history != run.first.history:
        yield f"metrics of epochs (in {HISTORY}): an accuracy reveals a count of few people"


def _add_model(run: Run, out: Path, smallest: int) -> Iterator[str]:
    if not isinstance(run, RunFolder):
        raise SettingError(
            f"{run.path}: each fold has its own model: share one, such as {run.first.path}"
        )
    if reason := few_named(run.data, smallest):
        yield f"{FILE}: {reason}"
        return
    shutil.copyfile(run.path / FILE, out / FILE)


def _remove_files_with_ids(run: Run, out: Path) -> Iterator[str]:
    """Remove each file with an id in its text; yield the reason, not the id.

    Counts and names are hidden when a file is written, but users choose the names of data files,
    columns and run folders, and a file may be named after its patient.
    """
    for path in sorted(out.iterdir()):
        if names_people(run, path.read_bytes()):
            path.unlink()
            yield f"{path.name}: it would contain the id of a subject or example"
