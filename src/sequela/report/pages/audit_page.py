"""The audit of anything: runs, tables, arrays and predictions, and its page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from sequela.analysis.foreign import Effect, find, not_checked
from sequela.analysis.foreign_inputs import Input, labels_of_cohorts, read
from sequela.audit.finding import SENTENCES, Finding
from sequela.config import SMALLEST_CELL, Options, SignalSettings
from sequela.errors import SettingError
from sequela.files import require_file, temporary
from sequela.report.page import open_templates, write_page
from sequela.runs.audit import audit as audit_data
from sequela.runs.data import load
from sequela.runs.find import is_run
from sequela.runs.leaks import Audited, audit_run, audited, status_of
from sequela.signals.declaration import is_declared
from sequela.studies.settings import own_signals, run_settings

SCHEMA = "sequela-audit/1"
"""The form of the JSON."""


@dataclass(frozen=True)
class Audit:
    """The result of an audit: inputs, checks and findings, leaks first.

    Attributes:
        inputs: The inputs, and what each was taken for.
        checks: The groups of checks that fit the inputs.
        skipped: What was not looked for, and why.
        found: The findings, and their measured effects.
    """

    inputs: tuple[Input, ...]
    checks: tuple[str, ...]
    skipped: tuple[str, ...]
    found: tuple[tuple[Finding, Effect | None], ...]

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """The findings in words, with their counts, effect and literature."""
        return self.in_words(1)

    def in_words(self, smallest: int) -> list[Mapping[str, Any]]:
        """Return the findings; counts below ``smallest`` are hidden."""
        return [
            {
                **each.in_words(smallest),
                "evidence": {n: c for n, c in each.counts.items() if not 0 < c < smallest},
                "effect": None if effect is None else asdict(effect),
                "reference": SENTENCES[each.check].get("reference", ""),
            }
            for each, effect in self.found
        ]

    @property
    def status(self) -> int:
        """The exit status of the command: 0 for nothing, 3 for a leak, 4 for suspicions."""
        return status_of(self.findings)

    @property
    def head(self) -> list[str]:
        """The lines before the findings."""
        return [f"{each.name}: {each.taken_for}" for each in self.inputs]

    @property
    def foot(self) -> list[str]:
        """The lines after the findings."""
        skipped = [f"not checked: {each}" for each in self.skipped]
        return [f"{self.summary}: {', '.join(self.checks)}", *skipped]

    @property
    def summary(self) -> str:
        """The number of findings, of which severity, in how many checks."""
        kinds = [each.severity for each, _ in self.found]
        counts = [(kinds.count("leak"), "leak"), (kinds.count("suspicion"), "suspicion")]
        several = " and ".join(f"{n} {kind}{'s' * (n != 1)}" for n, kind in counts if n)
        groups = f"{len(self.checks)} group{'s' * (len(self.checks) != 1)} of checks"
        return f"{several or 'nothing found'} in {groups}"

    def to_dict(self) -> Mapping[str, Any]:
        """Return the result for JSON."""
        inputs = [asdict(each) for each in self.inputs]
        head = {"schema": SCHEMA, "summary": self.summary, "status": self.status}
        checks = {"checks": [*self.checks], "not_checked": [*self.skipped]}
        return {**head, "inputs": inputs, **checks, "findings": self.findings}

    def to_pandas(self) -> Any:
        """Return the findings as a DataFrame of pandas."""
        return pa.Table.from_pylist(self.findings).to_pandas()

    def _repr_html_(self) -> str:
        table = open_templates().get_template("audit_table.html.j2")
        return table.render(found=self.in_words(1), summary=self.summary)


def audit(
    *inputs: Any,
    y: Any = None,
    groups: Any = None,
    splits: Any = None,
    label: str | None = None,
    group: Sequence[str] = (),
    time: str | None = None,
    predictions: Any = None,
    page: Path | str | None = None,
    hide_below: int | None = None,
    root: Path | str | None = None,
    form: Sequence[str] = (),
) -> Audit | Audited:
    """Look for leaks in data, splits and predictions of anybody, as ``sequela audit`` does.

    Args:
        inputs: A table of examples, or one for each part: paths or DataFrames; or an array (row,
            column) or (window, channel, time), or Epochs of MNE with their classes; and files of
            results (.json).
        y: The class of each row: an array, or a table joined by an id that both have.
        groups: The patient or recording of each row, in the same forms.
        splits: The part of each row: a column, an array of names, a table; a list of index arrays,
            or a splitter of scikit-learn.
        label: Column of the class; of a cohort table of OMOP, the number of the outcome's cohort.
        group: Columns of patients, recordings or other units, the largest first.
        time: Column with the time of the prediction.
        predictions: Probabilities of the second class: an array, or a table with them.
        page: Also write a page to this file.
        hide_below: Hide counts below this on the page, 10 by default.
        root: Folder or file of the data of a run.
        form: Form of csv files as ``KEY=VALUE``, such as ``decimal=,``; by default, it is found.

    Raises:
        SequelaError: If an input cannot be read, or the inputs do not fit together.

    Example:
        >>> import numpy as np
        >>> audit(np.eye(4), y=[0, 1, 0, 1], splits=[[0, 1], [1, 2, 3]]).findings[0]["check"]
        'rows in two parts'
    """
    if page is not None:
        require_file(Path(page), ".html")
    result: Audit | Audited
    if len(inputs) == 1 and isinstance(inputs[0], str | Path) and Path(inputs[0]).is_dir():
        if any(each is not None for each in (groups, splits, time)):
            raise SettingError(
                f"{inputs[0]}: a run, or a folder of events or recordings, has its own split; "
                "leave out everything but labels, label, page and root"
            )
        result = audit_folder(Path(inputs[0]), y, label, Path(root) if root else None)
    else:
        separate = {"label": y, "group": groups, "probability": predictions}
        columns = {"label": label, "prediction time": time, "group": group}
        result = _audit_files(inputs, separate, columns, splits, form)
    if page is not None:
        words = result.in_words(SMALLEST_CELL if hide_below is None else hide_below)
        shown = {"audit": result, "found": words, "summary": result.summary}
        write_page("audit.html.j2", Path(page), title="Leak audit", **shown)
    return result


def _audit_files(
    inputs: Sequence[Any],
    separate: Mapping[str, Any],
    columns: Mapping[str, Any],
    splits: Any,
    form: Sequence[str],
) -> Audit:
    """Audit files or arrays, with arrays or tables, or names of columns, by their role."""
    given = {role: each for role, each in separate.items() if each is not None}
    chosen = {r: [r] for r in given if r != "probability" and not _is_table(given[r])}
    chosen |= {r: [n] if isinstance(n, str) else [*n] for r, n in columns.items() if n}
    if isinstance(splits, str) and not Path(splits).suffix:
        chosen["split"] = [splits]
    elif _is_names(splits) or isinstance(splits, Path):
        given["split"] = splits
    indices = None if "split" in (chosen | given) else splits
    data, words = read(inputs, chosen, given, indices, form)
    checks = {name: [*some] for name, some in find(data)}
    skipped = tuple(not_checked(data))
    if not checks:
        taken = "; ".join(each.taken_for for each in words)
        raise SettingError(
            f"nothing can be checked ({taken}; {'; '.join(skipped)}); name the columns of the "
            "split, the label and the patient with --split, --label and --group"
        )
    pairs = [f if isinstance(f, tuple) else (f, None) for some in checks.values() for f in some]
    found = sorted(pairs, key=lambda pair: pair[0].severity != "leak")
    return Audit(tuple(words), tuple(checks), skipped, tuple(found))


def audit_folder(
    path: Path, labels: Any = None, outcome: str | None = None, root: Path | None = None
) -> Audited:
    """Audit a run; or a folder of events with their label file, or of recordings, and a split.

    With ``outcome``, labels are a cohort table of OMOP, by default that of the folder.
    """
    if is_run(path):
        return audit_run(path, root)
    files = {each.name.lower(): each for each in path.iterdir()}
    if labels is None and outcome is not None:
        labels = next((files[n] for n in files if Path(n).stem.split(".")[0] == "cohort"), None)
    if is_declared(path):
        name, model = "signals", "majority-class"
    else:
        name = "omop" if any(each.startswith("person") for each in files) else "meds"
        model = "prevalence"
        if name == "meds" and "data" not in files:
            raise SettingError(
                f"{path}: neither a run, nor a folder in MEDS (with data) or OMOP (with person), "
                "nor recordings with signals.toml; name files"
            )
        if labels is None:
            raise SettingError(f"{path}: events need the file of their labels: add --labels FILE")
    signals = own_signals(name, SignalSettings(), path)
    with temporary() as work:
        if labels is not None and outcome is not None:
            labels = labels_of_cohorts(Path(labels), outcome, work / "labels.parquet")
        options = Options() if labels is None else Options.of(labels=labels)
        settings = run_settings(model, name, options, signals)
        data = load(settings, path, work)
        return audited(path, data, audit_data(data))


def _is_table(given: Any) -> bool:
    return isinstance(given, str | Path) or hasattr(given, "columns")


def _is_names(splits: Any) -> bool:
    """Return whether splits are the name of a part for each row, or a table of them."""
    if isinstance(splits, Mapping) or not hasattr(splits, "__len__"):
        return False
    return _is_table(splits) or isinstance(next(iter(splits), None), str)
