"""The foot of a page: when, by what, on which data, how often looked at, and how to do it again."""

import hashlib
from collections.abc import Mapping, Sequence
from importlib.metadata import metadata
from typing import TYPE_CHECKING, Any

from sequela.runs.find import Run
from sequela.runs.openings import Opening

if TYPE_CHECKING:
    from sequela.report.group import Group


def trust(contents: Sequence[Mapping[str, Any]], runs: Sequence[Run]) -> list[tuple[str, str]]:
    """What stands in the foot, in its order.

    Args:
        contents: Of the studies on the page.
        runs: All runs on it.
    """
    groups: list[Group] = [group for content in contents for group in content["groups"]]
    environment = runs[0].environment
    commit = environment.get("commit", "not known: the runs do not say it")
    since = min(filter(None, (group.opened.since for group in groups)), default="not known")
    mains: list[Group] = [content["main"] for content in contents]
    opened = " ".join(f"{one.data['title']}: {' '.join(one.opened.sentences)}" for one in mains)
    prints = {
        group.data["title"]: Opening.of(group.first, "report").population[:16] for group in groups
    }
    return [
        ("Date", f"{since}: the test (held-out) part was first shown (UTC)."),
        ("Version", f"sequela {environment['sequela']}."),
        ("Commit", f"{commit}."),
        ("Data", "; ".join(f"{title}: {digest}" for title, digest in prints.items()) + "."),
        ("Test part opened", opened),
        ("Checksum of all predictions", _checksum(runs)),
    ]


def _checksum(runs: Sequence[Run]) -> str:
    """SHA-256 over the predictions of all runs, in the order of the page."""
    digests = [Opening.of(run, "report").predictions for run in runs]
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def documentation() -> str:
    """Where the documentation is, as the package says it; nothing where it does not."""
    urls = metadata("sequela").get_all("Project-URL") or []
    named = dict(each.split(", ", 1) for each in urls)
    return str(named.get("Documentation", ""))
