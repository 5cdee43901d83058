"""``sequela card``: the model card of a run."""

from pathlib import Path

from sequela.files import require_file


def card(run: Path, /, *, out: Path = Path("model-card.md")) -> None:
    """Write a run's model card, in the Hugging Face format, with the items of TRIPOD+AI.

    It is filled from the run folder alone: neither the model nor the data are needed. What only a
    person can answer is left visibly open.

    Example: `sequela card runs/gru-improved --out model-card.md`

    Args:
        run: Run folder, or folder of folds.
        out: The card.
    """
    from sequela.report.card import build_card
    from sequela.runs.find import named_runs

    require_file(out)
    print(f"card: {build_card(named_runs([run])[0], out).resolve()}")
