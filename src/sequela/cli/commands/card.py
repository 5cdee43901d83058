"""``sequela card``: the model card of a run."""

from pathlib import Path

from sequela.cli.names import HideBelow
from sequela.files import require_file


def card(run: Path, /, *, out: Path = Path("model-card.md"), hide_below: HideBelow = None) -> None:
    """Write the model card of a run in the Hugging Face format, with the TRIPOD+AI checklist.

    The card is filled in from the run folder; the data are not needed. Questions that only a
    person can answer are marked as open. Evaluates the run on its test set, which is logged.

    Example: `sequela card runs/gru-improved --out model-card.md`

    Args:
        run: Run folder, or folder of a cross-validation.
        out: File to write the card to.
    """
    from sequela.report.card import build_card
    from sequela.runs.find import named_runs

    require_file(out, ".md")
    print(f"card: {build_card(named_runs([run])[0], out, hide_below).resolve()}")
