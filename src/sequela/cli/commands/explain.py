"""``sequela explain``: contributions of inputs to predictions."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from sequela.cli.names import HideBelow, Root, TrustCode
from sequela.files import require_file

if TYPE_CHECKING:
    from sequela.analysis.explain import Explanation


def explain(
    run: Path,
    /,
    *,
    example: list[str] | None = None,
    class_: Annotated[list[str] | None, Parameter(name="--class")] = None,
    root: Root = None,
    steps: int | None = None,
    ids: bool = False,
    hide_below: HideBelow = None,
    trust_code: TrustCode = False,
    out: Path = Path("explanation.html"),
) -> None:
    """Explain predictions of a network by the contribution of each sample or code.

    Computes integrated gradients, with a flat segment or visits without codes as the baseline, and
    prints their completeness error. For hospital records, also ranks codes by their importance
    over the test set. Reads the data of the run again. Needs the extra `explain`.

    Example: `sequela explain runs/gru-improved --class seizure --out explanation.html`

    Args:
        run: Run folder of a network.
        example: Id of an example, as in predictions.parquet; may be repeated (default: a few
            informative examples of the test set).
        class_: Explain the logit of this class; may be repeated (default: the second of two
            classes, or the predicted and the true one of more classes).
        steps: Steps of the integral (default: doubled from 64 until the error is below 1 %).
        ids: Show ids of examples, days and rare codes, for internal use.
        out: File to write the page to.
    """
    from sequela.analysis.explain import explain as explain_run
    from sequela.report.pages.explanation_page import build_explanation

    require_file(out, ".html")
    explanation = explain_run(
        run,
        examples=example or (),
        classes=class_ or (),
        root=root,
        steps=steps,
        hide_below=hide_below,
        trust_code=trust_code,
    )
    for line in _lines(explanation, ids=ids):
        print(line)
    print(f"page: {build_explanation(explanation, out, ids=ids, hide_below=hide_below).resolve()}")


def _lines(explanation: "Explanation", *, ids: bool) -> Iterator[str]:
    from sequela.cohort.split import SETS

    for place, explained in enumerate(explanation.examples, 1):
        name = explained.example_id if ids else f"example {place}"
        yield f"{name}: {explained.label} ({SETS[explained.part]}, {explained.why})"
        for name, part in explained.numbers.items():
            yield (
                f"  {name}: {part.reached:+z.3f}, baseline {part.baseline:+z.3f}, attributions sum "
                f"to {part.values.sum():+z.3f}; completeness error {part.error:.2g} "
                f"({100 * part.relative_error:.2g} %), {part.steps} steps"
            )
    if importance := explanation.importance:
        yield (
            f"{len(importance.codes)} codes ranked over {importance.examples} examples of the "
            f"test set, {importance.suppressed} too rare to be ranked; completeness error: median "
            f"{100 * importance.median_error:.2g} %, at most {100 * importance.largest_error:.2g} %"
        )
