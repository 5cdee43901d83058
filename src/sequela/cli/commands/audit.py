"""``sequela audit``: leak detection in runs, tables, arrays and predictions."""

from pathlib import Path

from sequela.cli.names import Form, HideBelow, Json, Root


def audit(
    inputs: list[Path],
    /,
    *,
    labels: Path | None = None,
    split: str | None = None,
    predictions: Path | None = None,
    group: list[str] | None = None,
    time: str | None = None,
    label: str | None = None,
    form: Form = None,
    ignore: list[str] | None = None,
    page: Path | None = None,
    hide_below: HideBelow = None,
    root: Root = None,
    json: Json = False,
) -> int:
    """Look for leaks in a finished run, or in data, splits and predictions of anybody.

    The data of a run are read again. Other inputs are a table of examples, or one for each part
    (train.csv, test.csv); arrays; a table of predictions; results in JSON. Prints what each was
    taken for. The exit status is 0 if nothing is found, 3 for a leak, and 4 for suspicions only,
    which a person has to check.

    Example: `sequela audit features.csv --group patient_id --label died --page audit.html`

    Args:
        inputs: Run folder, or files: csv, Parquet, npy, npz, json.
        labels: File with the class of each row; of a MEDS or OMOP folder, its labels.
        split: Column with the part of each row, or a file with it.
        predictions: File with the probability of the second class of each row.
        group: Column of the patient or another unit that must stay in one part; repeatable.
        time: Column with the time of the prediction.
        label: Column of the class.
        form: Form of csv files as KEY=VALUE, such as decimal=, (default: found); repeatable.
        ignore: Code of a check to leave out, such as SQ022; repeatable.
        page: Also write a page to this file.
    """
    from json import dumps

    from sequela.audit.finding import CHECKS

    # A misspelt code would leave a check on, and its findings would look like an error of ours.
    for code in ignore or ():
        CHECKS.lookup(code)
    from sequela.report.pages.audit_page import audit as audit_all

    audited = audit_all(
        *inputs, y=labels, splits=split, predictions=predictions, group=group or (), time=time,
        label=label, form=form or (), ignore=ignore or (), page=page, hide_below=hide_below,
        root=root,
    )  # fmt: skip
    if json:
        print(dumps(audited.to_dict(), indent=1))
        return audited.status
    print(*audited.head, *audited.lines(), *audited.foot, sep="\n")
    if page is not None:
        print(f"page: {page.resolve()}")
    return audited.status
