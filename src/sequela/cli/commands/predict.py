"""``sequela predict``: predictions for new data."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sequela.cli.names import Json, TrustCode, check_names, data_sets, known


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
    channels: tuple[str, ...] = (),
    resample: float | None = None,
    samples: str | None = None,
    id: str | None = None,  # noqa: A002 - the key of a declaration
    subject: str | None = None,
    recording: str | None = None,
    time: str | None = None,
    stride: float | None = None,
    json: Json = False,
    trust_code: TrustCode = False,
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
        model: FILE.onnx of `sequela export`, or a run folder.
        input: File or folder of the data (default: the usual search path of --data).
        out: The probabilities, a Parquet file.
        data: Format or data set.
        root: Another name for the input.
        times: MEDS label file with the subjects and times of the predictions, for a model that was
            trained with a label file; labels in it are ignored.
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
    """
    options = dict(locals())
    check_names(data=data)
    from json import dumps

    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from sequela.errors import SettingError
    from sequela.serving.predict import predict as predict_data

    del options["input"], options["root"], options["json"]
    if input is not None and root is not None:
        raise SettingError(f"two inputs are named, {input} and --root {root}: name one of them")
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

        predictions = predict_data(path=input or root, done=done, **options)
    if json:
        print(dumps({**predictions.report, "known": predictions.known}, indent=1))
        return
    for line in predictions.sentences:
        print(line)
