"""``sequela train``: one model, one run folder."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter


def train(
    model: str,
    /,
    *,
    data: str,
    root: Path | None = None,
    split: Literal["subject", "recording", "row"] = "recording",
    seed: int = 0,
    epochs: int | None = None,
    batch_size: int | None = None,
    learning_rate: float | None = None,
    class_weights: Annotated[bool, Parameter(negative=())] = False,
    out: Path | None = None,
    resume: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Train one model and write a run folder.

    What is not given is as in the study of the 2019 report. Ctrl-C leaves a run that `--resume`
    continues, with the same result as if it had never been interrupted.

    Example: `sequela train gru-improved --data bonn --out runs/gru`

    Args:
        model: For example mlp-baseline, cnn-improved, gru-improved.
        data: Data set: bonn or uci-seizure.
        root: Folder or file of the data, if not where they are looked for by themselves.
        split: What is kept whole; `row` keeps nothing and leaks: it exists to show the leak.
        seed: Of the split, the weights and the order of the batches.
        epochs: Passes over the training part at most.
        batch_size: Examples a step.
        learning_rate: Adam's, or its peak.
        class_weights: Weigh each class by the inverse of its share.
        out: Run folder; runs/MODEL if not given.
        resume: Continue the run that the folder holds.
    """
    from sequela.cli.progress import EpochProgress
    from sequela.config import RunSettings
    from sequela.models.registry import lookup
    from sequela.studies import floors, run, seizure

    if model not in floors.FLOORS:
        lookup(model)
    changes = {
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
        "class_weights": class_weights or None,
    }
    settings = RunSettings.of(
        model=model,
        data=data,
        split=split,
        seed=seed,
        training=seizure.training_of(model, {k: v for k, v in changes.items() if v is not None}),
    )
    folder = out or Path("runs") / model
    with EpochProgress(model, settings.training.epochs) as progress:
        done = run.train(settings, folder, root=root, resume=resume, on_epoch=progress.show)
    progress.say_numbers(done)
