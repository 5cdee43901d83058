"""The audit of anything: runs, tables, arrays and predictions, and its page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa

from sequela.analysis.foreign_inputs import NamedInput, read
from sequela.audit.finding import CHECKS, LeakCheck, Measured, check_named
from sequela.audit.searches import IGNORED, AuditOutcome, Unchecked, run_checks
from sequela.config import SMALLEST_CELL, Options, SignalSettings
from sequela.errors import SettingError
from sequela.files import require_file, temporary
from sequela.report.page import open_templates, write_page
from sequela.runs.audit import Leaks, check_examples, in_one_line, once_each, status_of
from sequela.runs.data import Examples, load, load_again
from sequela.runs.find import is_run, named_runs
from sequela.runs.folder import work_beside
from sequela.runs.released import public
from sequela.studies.settings import own_signals, run_settings
from sequela.version import __version__

SCHEMA = "sequela-audit/1"  # the form of the JSON


@dataclass(frozen=True)
class Audit:
    """The result of an audit: inputs, checks and findings."""

    inputs: tuple[NamedInput, ...]
    measured: tuple[Measured, ...]  # findings, and their effects
    titles: tuple[str, ...]  # what was looked for, in words
    unchecked: tuple[Unchecked, ...]
    open_points: tuple[str, ...] = ()  # what a user could add to check more
    looked_for: str = ""  # all titles, for a run or folder
    by_design: bool = False  # a run that was made to show a leak

    @property
    def findings(self) -> list[Mapping[str, Any]]:
        """The findings in words, with their code, counts, effect and literature."""
        return self.in_words(1)

    def in_words(self, smallest: int) -> list[Mapping[str, Any]]:
        """Return the findings, leaks first, each once; counts below ``smallest`` are hidden."""
        findings = {}
        for finding, effect in sorted(self.measured, key=lambda pair: pair[0].severity != "leak"):
            words, check = finding.in_words(smallest), check_named(finding.check)
            # The key is the text: counts that differ between folds make different findings.
            findings[str(words)] = {  # folds find the same again
                "code": check.code,
                **words,
                "evidence": {n: c for n, c in finding.counts.items() if not 0 < c < smallest},
                "effect": effect and effect._asdict(),
                "reference": check.reference,
            }
        return [*findings.values()]

    @property
    def status(self) -> int:
        """The exit status of the command: 0 for nothing, 3 for a leak, 4 for suspicions."""
        return status_of(finding.severity for finding, _ in self.measured)

    @property
    def checks(self) -> list[LeakCheck]:
        """The checks that were made."""
        left_out = {check.code for check in self.unchecked}
        return [check for code, check in CHECKS.items() if code not in left_out]

    @property
    def head(self) -> list[str]:
        """The lines before the findings."""
        return [f"{source.name}: {source.taken_for}" for source in self.inputs]

    def lines(self) -> list[str]:
        """Return a line for each finding, with its remedy and measured effect."""
        lines = []
        for finding in self.findings:
            line = f"{in_one_line(finding)}; {finding['remedy']}"
            if effect := finding["effect"]:
                with_it, without = effect["auroc"], effect["without"]
                line += (
                    f"; AUROC of a baseline model: {with_it:.2f} with it, {without:.2f} without it"
                )
            lines.append(line)
        return lines

    @property
    def foot(self) -> list[str]:
        """The lines after the findings."""
        lines = ["leaks by design"] if self.by_design else []
        if not self.looked_for:
            lines.append(f"{self.summary}: {', '.join(self.titles)}")
        elif not self.measured:
            lines.append(f"nothing found; checked for: {self.looked_for}")
        return [*lines, *(f"not checked: {reason}" for reason in self.not_checked)]

    @property
    def not_checked(self) -> list[str]:
        """The points that a user could add or left out, and what is not checked without them."""
        ignored = [f"{c.code} ({c.check})" for c in self.unchecked if c.reason == IGNORED]
        return [*self.open_points, *(f"{check}: {IGNORED}" for check in ignored)]

    @property
    def summary(self) -> str:
        """The number of findings, of which severity, in how many checks."""
        if self.looked_for:
            n = len(self.findings)
            return f"{n or 'no'} finding{'' if n == 1 else 's'}; checked for: {self.looked_for}"
        kinds = [finding.severity for finding, _ in self.measured]
        counts = [(kinds.count(kind), kind) for kind in ("leak", "suspicion")]
        several = " and ".join(f"{n} {kind}{'' if n == 1 else 's'}" for n, kind in counts if n)
        groups = f"{len(self.titles)} group{'' if len(self.titles) == 1 else 's'} of checks"
        return f"{several or 'nothing found'} in {groups}"

    def to_dict(self) -> Mapping[str, Any]:
        """Return the result for JSON; a run or folder has some keys more."""
        record: dict[str, object] = {
            "schema": SCHEMA,
            "summary": self.summary,
            "status": self.status,
            "inputs": [asdict(source) for source in self.inputs],
            "checks": [*self.titles],
            "not_checked": self.not_checked,
            "unchecked": [check._asdict() for check in self.unchecked],
            "findings": self.findings,
        }
        if self.looked_for:
            (place,) = self.inputs
            record |= {"run": place.name, "origin": place.taken_for.removeprefix("data: ")}
            record |= {"looked_for": self.looked_for, "planned": self.by_design}
        return record

    def to_pandas(self) -> Any:
        """Return the findings as a DataFrame of pandas."""
        return pa.Table.from_pylist(self.findings).to_pandas()

    def _repr_html_(self) -> str:
        table = open_templates().get_template("audit_table.html.j2")
        return table.render(found=self.in_words(1), summary=self.summary)


def audit(
    *inputs: object,
    y: Any = None,
    groups: object = None,
    splits: object = None,
    label: str | None = None,
    group: Sequence[str] = (),
    time: str | None = None,
    predictions: object = None,
    page: Path | str | None = None,
    hide_below: int | None = None,
    root: Path | str | None = None,
    form: Sequence[str] = (),
    ignore: Sequence[str] = (),
) -> Audit:
    """Look for leaks in data, splits and predictions of anybody, as ``sequela audit`` does.

    Args:
        inputs: A run; or a table of examples, or one for each part (paths or DataFrames), an array
            (row, column) or (window, channel, time), Epochs of MNE; and files of results (.json).
        y: The class of each row: an array, or a table joined by an id that both have.
        groups: The patient or recording of each row, in the same forms.
        splits: The part of each row: a column, names, a table, index arrays, or a splitter.
        label: Column of the class.
        group: Columns of patients, recordings or other units, the largest first.
        time: Column with the time of the prediction.
        predictions: Probabilities of the second class: an array, or a table with them.
        page: Also write a page to this file.
        hide_below: Hide counts below this on the page; by default, it shows all.
        root: Folder or file of the data of a run.
        form: Form of csv files as ``KEY=VALUE``, such as ``decimal=,``; by default, it is found.
        ignore: Codes of checks to leave out, such as ``SQ022``.

    Raises:
        SequelaError: If an input cannot be read, or the inputs do not fit together.

    Example:
        >>> import numpy as np
        >>> audit(np.eye(4), y=[0, 1, 0, 1], splits=[[0, 1], [1, 2, 3]]).findings[0]["check"]
        'rows in two parts'
    """
    if page is not None:
        require_file(Path(page), ".html")
    if len(inputs) == 1 and isinstance(inputs[0], str | Path) and Path(inputs[0]).is_dir():
        if any(option is not None for option in (groups, splits, time, label)):
            raise SettingError(
                f"{inputs[0]}: a run, or a folder of events or recordings, has its own split; "
                "leave out everything but labels, page and root"
            )
        place = Path(root) if root else None
        result = _audit_folder(Path(inputs[0]), y, place, ignore)
    else:
        sources = {"label": y, "group": groups, "probability": predictions}
        names = {"label": label, "prediction time": time, "group": group}
        result = _audit_files(inputs, sources, names, splits, form, ignore)
    if page is not None:
        _write(result, Path(page), hide_below or 1)
    return result


def _write(audited: Audit, page: Path, smallest: int) -> None:
    """Write the page of an audit, without paths of this machine."""
    words = audited.in_words(smallest)
    few = f"fewer than {SMALLEST_CELL}" in str(audited.in_words(SMALLEST_CELL))
    names = " and ".join(dict.fromkeys(PurePath(i.name).name for i in audited.inputs))
    write_page(
        "audit.html.j2",
        page,
        title=f"Leak audit of {names}",
        names=names,
        inputs=[(PurePath(i.name).name, public(i.taken_for)) for i in audited.inputs],
        audit=audited,
        found=words,
        kinds=once_each({**finding} for finding in words),
        severities={finding["check"]: finding["severity"] for finding in words},
        limit=SMALLEST_CELL if few and smallest == 1 else None,
        version=__version__,
    )


def _audit_files(
    inputs: Sequence[object],
    sources: Mapping[str, object],
    names: Mapping[str, str | Sequence[str] | None],
    splits: object,
    form: Sequence[str],
    ignored: Sequence[str],
) -> Audit:
    """Audit files or arrays, with arrays or tables, or names of columns, by their role."""
    separate = {role: source for role, source in sources.items() if source is not None}
    columns = {r: [r] for r in separate if r != "probability" and not _is_table(separate[r])}
    columns |= {r: [n] if isinstance(n, str) else [*n] for r, n in names.items() if n}
    if isinstance(splits, str) and not Path(splits).suffix:
        columns["split"] = [splits]
    elif _is_names(splits) or isinstance(splits, Path):
        separate["split"] = splits
    # What is neither a name, a table nor a list of names is a splitter, or arrays of indices.
    indices = None if "split" in (columns | separate) else splits
    data, words = read(inputs, columns, separate, indices, form)
    outcome, points = run_checks(data, ignored), tuple(data.open_points())
    # An audit that checked nothing must not look like one that found nothing.
    if not outcome.titles:
        taken_for = "; ".join(source.taken_for for source in words)
        raise SettingError(
            f"nothing can be checked ({taken_for}; {'; '.join(points)}); name the columns of the "
            "split, the label and the patient with --split, --label and --group"
        )
    return Audit(tuple(words), *outcome, open_points=points)


def _audit_folder(
    path: Path, labels: str | Path | None, root: Path | None, ignored: Sequence[str]
) -> Audit:
    outcomes, by_design = list[AuditOutcome](), False
    if is_run(path):
        (run,) = named_runs([path])
        by_design = Leaks.of(run).by_design
        with work_beside(path) as work:
            for folder in run.runs:
                data = load_again(folder, root, work)
                outcomes.append(check_examples(data, ignored))
    else:
        with temporary() as work:
            data = _examples_of(path, labels, work)
            outcomes.append(check_examples(data, ignored))
    measured = tuple(chain.from_iterable(outcome.findings for outcome in outcomes))
    origin = "; ".join([data.origin, *getattr(data.arrays, "notes", ())])
    sources = (NamedInput(str(path), f"data: {origin}"),)
    outcome = outcomes[-1]._replace(findings=measured)
    return Audit(sources, *outcome, looked_for=", ".join(outcome.titles), by_design=by_design)


def _examples_of(path: Path, labels: str | Path | None, work: Path) -> Examples:
    from sequela.signals.reading import is_declared

    files = [file.name.lower() for file in path.iterdir()]
    if is_declared(path):
        name, model = "signals", "majority-class"
    else:
        # OMOP has a table of persons; MEDS has a folder of data.
        name = "omop" if any(file.startswith("person") for file in files) else "meds"
        model = "prevalence"
        if name == "meds" and "data" not in files:
            raise SettingError(
                f"{path}: neither a run, nor a folder in MEDS (with data) or OMOP (with person), "
                "nor recordings with signals.toml; name files"
            )
        if labels is None:
            raise SettingError(f"{path}: events need the file of their labels: add --labels FILE")
    options = Options() if labels is None else Options.of(labels=str(Path(labels).resolve()))
    signals = own_signals(name, SignalSettings(), path)
    return load(run_settings(model, name, options, signals), path, work)


def _is_table(source: object) -> bool:
    return isinstance(source, str | Path) or hasattr(source, "columns")


def _is_names(splits: Any) -> bool:
    """Return whether splits are the name of a part for each row, or a table of them."""
    if isinstance(splits, Mapping) or not hasattr(splits, "__len__"):
        return False
    return _is_table(splits) or isinstance(next(iter(splits), None), str)
