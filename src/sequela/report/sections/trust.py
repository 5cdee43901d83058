"""The foot of a page: date, version, data, number of evaluations, and how to reproduce it."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import metadata
from typing import TYPE_CHECKING, Any

from sequela.integrity.openings import Opening
from sequela.runs.find import Run

if TYPE_CHECKING:
    from sequela.report.sections.group import Group


def trust(contents: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> list[tuple[str, str]]:
    """Return the headings and texts of the foot, in order."""
    groups: list[Group] = [group for content in contents for group in content["groups"]]
    environment = runs[0].environment
    commit = environment.get("commit", "unknown: the runs do not record it")
    since = min(filter(None, (group.opened.since for group in groups)), default="date unknown")
    mains: list[Group] = [content["main"] for content in contents]
    opened = " ".join(f"{one.data.title}: {' '.join(one.opened.sentences)}" for one in mains)
    prints = {
        group.data.title: Opening.of(group.first, "report").population[:16] for group in groups
    }
    predictions = [Opening.of(run, "report").predictions for run in runs]  # in the page's order
    return [
        ("First evaluation on the test set", f"{since} (UTC)."),
        ("Version", f"sequela {environment['sequela']}."),
        ("Commit", f"{commit}."),
        ("Data", "; ".join(f"{title}: {digest}" for title, digest in prints.items()) + "."),
        ("Evaluations on the test set", opened),
        (
            "Checksum of all predictions",
            hashlib.sha256("\n".join(predictions).encode()).hexdigest(),
        ),
    ]


def documentation() -> str:
    """Return the address of the documentation from the package metadata; empty if there is none."""
    urls = metadata("sequela").get_all("Project-URL") or []
    named = dict(each.split(", ", 1) for each in urls)
    return str(named.get("Documentation", ""))
