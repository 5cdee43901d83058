"""The members of an ensemble, as its run names them."""

import hashlib
from dataclasses import dataclass
from typing import Any

from sequela.config import RunSettings
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import ENSEMBLE, title_of
from sequela.runs.folder import RunFolder
from sequela.runs.model import FILE


@dataclass(frozen=True)
class Member:
    """A model of an ensemble, as the ensemble's ``config.toml`` names it."""

    run: str
    sha256: str
    settings: dict[str, Any]

    @classmethod
    def of(cls, folder: RunFolder, run: str) -> "Member":
        """Describe the model of a run, or of one fold."""
        digest = hashlib.sha256((folder.path / FILE).read_bytes()).hexdigest()
        return cls(run, digest, folder.settings.model_dump(mode="json", exclude_none=True))


def members_of(settings: RunSettings) -> list[Member]:
    """Return the members of an ensemble; empty for any other run."""
    named = settings.model_settings.get("members", ()) if settings.model == ENSEMBLE else ()
    return [Member(**each) for each in named]


def has_network(settings: RunSettings) -> bool:
    """Return whether the model of a run is a network, or an ensemble with one."""
    members = [RunSettings.of(**each.settings) for each in members_of(settings)]
    return any(map(has_network, members)) if members else settings.model not in REFERENCE_MODELS


def title(settings: RunSettings) -> str:
    """Return the title of the model of a run; for an ensemble, with its members.

    Example:
        >>> title(RunSettings(model="boosting", data="eicu"))
        'Boosting'
    """
    members = [title(RunSettings.of(**each.settings)) for each in members_of(settings)]
    if not members:
        return title_of(settings.model)
    counts = {name: members.count(name) for name in members}
    named = [name + f" ({count} times)" * (count > 1) for name, count in counts.items()]
    return f"Ensemble of {' and '.join(filter(None, (', '.join(named[:-1]), named[-1])))}"
