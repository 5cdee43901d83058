"""``sequela explain``: which inputs moved a prediction?"""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def explain(
    run: Path,
    /,
    *,
    example: Annotated[list[str] | None, Parameter(negative=())] = None,
    class_: Annotated[list[str] | None, Parameter(name="--class", negative=())] = None,
    root: Path | None = None,
    steps: int | None = None,
    out: Path = Path("explanation.html"),
) -> None:
    """Explain predictions of a network: which samples or codes moved them, and by how much.

    Integrated gradients, from a flat segment or from visits without codes; how far the attributions
    miss the difference that they explain is printed. Of records, codes are also ranked over the
    held-out part. The data of the run are read again. Needs the extra `explain`.

    Example: `sequela explain runs/gru-improved --class seizure --out explanation.html`

    Args:
        run: Run folder of a network.
        example: An id as in predictions.parquet (may be repeated); telling held-out ones if not
            given.
        class_: A class whose logit is explained (may be repeated); the predicted and the true one,
            or of two classes the second, if not given.
        root: Folder or file of the data, if not where they are looked for by themselves.
        steps: Of the integral; as many as make its error small, if not given.
        out: The page.
    """
    from sequela.report.explanation_page import build_explanation
    from sequela.runs.explain import explain as explain_run

    found = explain_run(run, examples=example or (), classes=class_ or (), root=root, steps=steps)
    for each in found.examples:
        print(f"{each.example_id}: {each.label} ({each.part}, {each.why})")
        for name, one in each.numbers.items():
            print(
                f"  {name}: {one.reached:+z.3f}, baseline {one.baseline:+z.3f}, attributions sum "
                f"to {one.values.sum():+z.3f}; completeness error {one.error:.2g} "
                f"({100 * one.relative_error:.2g} %), {one.steps} steps"
            )
    if importance := found.importance:
        print(
            f"{len(importance.codes)} codes ranked over {importance.examples} held-out examples, "
            f"{importance.suppressed} suppressed; completeness error: median "
            f"{100 * importance.median_error:.2g} %, at most {100 * importance.largest_error:.2g} %"
        )
    print(f"page: {build_explanation(found, out).resolve()}")
