"""``sequela scan``: events in a long recording."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def scan(
    model: Path,
    recording: Path,
    /,
    *,
    out: Path,
    event: str = "",
    channels: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    step: float | None = None,
    smooth: float = 5.0,
    threshold: float | None = None,
    shortest: float = 10.0,
    gap: float = 10.0,
    truth: Path | None = None,
    trust_code: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Scan a long EEG recording, and write the events that were found.

    The recording is read window by window. A model of one channel is asked about each channel, and
    the highest probability counts. Probabilities are smoothed. Events are where they are at or
    above the threshold. The output has the columns of BIDS and SzCORE. The model finds what looks
    like its training data. It is no medical device.

    Example: `sequela scan gru.onnx night.edf --out night_events.tsv`

    Args:
        model: FILE.onnx of `sequela export`, or a run folder.
        recording: EDF, EDF+ or BDF file. Other rates than the model's are resampled.
        out: The events, as a table with tabs.
        event: Class to look for (default: seizure, or the second of two classes).
        channels: Channels to read (default: those of the model, or all voltages).
        step: Seconds from one window to the next (default: half a window).
        smooth: Seconds over which probabilities are averaged.
        threshold: Probability of an event (default: the model's, or 0.5).
        shortest: Seconds that an event must last.
        gap: Seconds between two events that are joined.
        truth: An events.tsv with the known events: the scores of SzCORE are printed.
        trust_code: Let the run's model be code, a class of a file or module: it is imported.
    """
    from rich.console import Console
    from rich.progress import Progress

    from sequela.files import require_file, whole
    from sequela.serving import load
    from sequela.serving.scan import HEADER, Scanning, rows
    from sequela.serving.scan import scan as scan_recording
    from sequela.serving.szcore import scores
    from sequela.serving.szcore import truth as known_events
    from sequela.sources.signals.edf import EdfFile

    require_file(out)
    how = Scanning(event, step, smooth, threshold, shortest, gap, channels)
    console = Console(soft_wrap=True)
    known = None if truth is None else known_events(truth, EdfFile.open(recording).seconds)
    served = load(model, trust_code=trust_code)
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(recording.name, total=1.0)
        found = scan_recording(
            served, recording, how, lambda share: bar.update(task, completed=share)
        )
    told = [] if known is None else scores(known, found)
    with whole(out) as partial:
        lines = "".join("\t".join(row) + "\n" for row in (HEADER, *rows(found)))
        partial.write_text(lines, encoding="utf-8")
    hours = found.seconds / 3600
    summary = (
        f"{len(found.events)} events of {found.event} in {hours:.2f} hours, at a probability of "
        f"{found.threshold:.3f} or more; {found.unscored:.0f} s were flat and not scored"
    )
    for line in (*found.notes, summary, *told):
        console.print(line, markup=False, highlight=False)
