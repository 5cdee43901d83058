"""``sequela card``: the model card of a run."""

from pathlib import Path

from sequela.files import require_file


def card(
    run: Path, /, *, out: Path = Path("model-card.md"), smallest_cell: int | None = None
) -> None:
    """Write the model card of a run in the Hugging Face format, with the TRIPOD+AI checklist.

    The card is filled in from the run folder; the data are not needed. Questions that only a
    person can answer are marked as open. Evaluates the run on its test set, which is logged.

    Example: `sequela card runs/gru-improved --out model-card.md`

    Args:
        run: Run folder, or folder of a cross-validation.
        out: File to write the card to.
        smallest_cell: Hide counts of people below this number, and the names of such groups
            (default: SEQUELA_SMALLEST_CELL, else 10).
    """
    from sequela.config import ReleaseSettings
    from sequela.report.card import build_card
    from sequela.runs.find import named_runs

    require_file(out, ".md")
    smallest = ReleaseSettings.asked(smallest_cell).smallest_cell
    print(f"card: {build_card(named_runs([run])[0], out, smallest).resolve()}")
