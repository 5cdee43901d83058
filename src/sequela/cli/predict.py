"""``sequela predict``: predictions for new data."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sequela.cli.names import data_sets, known


def predict(
    model: Path,
    input: Path | None = None,  # noqa: A002 - its name in the help
    /,
    *,
    out: Path,
    data: Annotated[
        str | None, Parameter(show_default=known("from the file, or as in training", data_sets))
    ] = None,
    root: Path | None = None,
    times: Path | None = None,
    rate: float | None = None,
    unit: str | None = None,
    channels: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    resample: float | None = None,
    samples: str | None = None,
    id: str | None = None,  # noqa: A002 - the key of a declaration
    subject: str | None = None,
    recording: str | None = None,
    time: str | None = None,
    stride: float | None = None,
    json: Annotated[bool, Parameter(negative=())] = False,
    trust_code: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Predict on new data and write the probabilities.

    The data may have any format that `sequela train` reads. They need no labels; labels are
    ignored. Memory does not grow with the data. The output has the columns of a run's
    predictions.parquet, in the order of the data. A list next to it, NAME.listed.csv, contains
    examples that could not be scored, with the reason, and examples of the model's training or
    validation set. Both files contain ids of people: do not publish them. A signal of another unit,
    rate or number of channels is refused.

    Example: `sequela predict gru.onnx path/to/bonn --data bonn --out predicted.parquet`

    Args:
        model: FILE.onnx of `sequela export`, or a run folder; for a cross-validation, the mean of
            all its models is written.
        input: File or folder of the data (default: the usual search path of --data).
        out: The probabilities, a Parquet file.
        data: Format or data set.
        root: Another name for the input.
        times: MEDS label file with the subjects and times of the predictions, for a model that was
            trained with a label file. Labels in it are ignored.
        rate: Samples per second, in Hz, if a table does not state it.
        unit: Unit of the samples, if a file does not state it.
        channels: Channels, or pairs of them (default: the channels of the model).
        resample: Resample to this rate in Hz, the rate of the model.
        samples: Columns of the samples, such as 'X*'; for npz files, the array.
        id: Column of the id.
        subject: Column of the recorded person; for files, as in `sequela train`.
        recording: Column of the recording; for files, a regular expression.
        time: Column of the time in seconds.
        stride: Seconds from one window to the next (default: the length of a window).
        json: Print JSON.
        trust_code: Allow the import of a model that is a class of a file or module.
    """
    from json import dumps

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from sequela.config import SignalSettings
    from sequela.errors import SettingError
    from sequela.serving import load
    from sequela.serving.predict import Asked, folds_of, predict_mean

    if input is not None and root is not None:
        raise SettingError(f"two inputs are named, {input} and --root {root}: name one of them")
    said = {
        "rate": rate,
        "unit": unit,
        "channels": channels or None,
        "resample": resample,
        "samples": samples,
        "id": id,
        "subject": subject,
        "recording": recording,
        "time": time,
        "stride": stride,
    }
    own = SignalSettings.of(**{name: value for name, value in said.items() if value is not None})
    asked = Asked(input or root, data, own, times)
    models = [load(path, trust_code=trust_code) for path in folds_of(model)]
    console = Console(soft_wrap=True, stderr=json)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(
        *columns, console=console, disable=not console.is_terminal, transient=True
    ) as bar:
        task = bar.add_task("reading", total=None)

        def done(examples: int, share: float | None) -> None:
            total = None if share is None else 1.0
            words = f"{examples:,} examples" if examples else "reading"
            bar.update(task, description=words, total=total, completed=share or 0)

        found = predict_mean(models, asked, out, done)
    if json:
        print(dumps({**found.report, "known": found.known}, indent=1))
        return
    for line in found.sentences:
        console.print(line, markup=False, highlight=False)
