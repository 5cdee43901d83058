"""``sequela scan``: events in a long recording."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter


def scan(
    model: Path,
    recordings: Annotated[list[Path], Parameter(negative=())],
    /,
    *,
    out: Path,
    page: Path | None = None,
    event: str = "",
    channels: Annotated[tuple[str, ...], Parameter(negative=())] = (),
    step: float | None = None,
    smooth: float = 5.0,
    threshold: float | None = None,
    shortest: float = 10.0,
    gap: float = 10.0,
    truth: str | None = None,
    trust_code: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """Scan long EEG recordings, and write the events that were found.

    A recording is read window by window. A model of one channel is asked about each channel, and
    the highest probability counts. Probabilities are smoothed. Events are where they are at or
    above the threshold. The output has the columns of BIDS and SzCORE. The model finds what looks
    like its training data. It is no medical device.

    Example: `sequela scan gru.onnx night.edf --out night_events.tsv --page night.html`

    Args:
        model: FILE.onnx of `sequela export`, or a run folder.
        recordings: EDF, EDF+ or BDF files. Other rates than the model's are resampled.
        out: The events, as a table with tabs; of several recordings with a last column `file`.
        page: A page with pictures of each recording and of its events (HTML, nothing is fetched).
        event: Class to look for (default: seizure, or the second of two classes).
        channels: Channels to read (default: those of the model, or all voltages).
        step: Seconds from one window to the next (default: half a window).
        smooth: Seconds over which probabilities are averaged.
        threshold: Probability of an event (default: the model's, or 0.5).
        shortest: Seconds that an event must last.
        gap: Seconds between two events that are joined.
        truth: The known events: an events.tsv (with a column `file` for several recordings), or
            where they lie: `summary` (CHB-MIT), `siena`, `seizeit`, `bids` or `annotations`. The
            scores of SzCORE are printed.
        trust_code: Let the run's model be code, a class of a file or module: it is imported.
    """
    from rich.console import Console
    from rich.progress import Progress

    from sequela.files import require_file, whole
    from sequela.serving import load
    from sequela.serving.scan import Scanning, looked_for, table
    from sequela.serving.scan import scan as scan_recording
    from sequela.serving.szcore import scores
    from sequela.serving.szcore import truth as known_events

    for each in (out, page):
        if each is not None:
            require_file(each)
    how = Scanning(event, step, smooth, threshold, shortest, gap, channels)
    console = Console(soft_wrap=True)
    served = load(model, trust_code=trust_code)
    event = looked_for(served, event)
    known = None if truth is None else known_events(truth, recordings, event)
    found = []
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        for path in recordings:
            task = bar.add_task(path.name, total=1.0)

            def advance(share: float, task: Any = task) -> None:
                bar.update(task, completed=share)

            found.append(scan_recording(served, path, how, advance))
    told = [] if known is None else scores(known, found)
    with whole(out) as partial:
        partial.write_text(table(found), encoding="utf-8")
    for scanned in found:
        name = f"{scanned.path.name}: " if len(found) > 1 else ""
        for line in scanned.recording.notes:
            console.print(f"{name}{line}", markup=False, highlight=False)
        console.print(f"{name}{scanned.in_words}", markup=False, highlight=False)
    for score in told:
        console.print(str(score), markup=False, highlight=False)
    if page is not None:
        from sequela.report.scan_page import build_scan

        build_scan(found, page, about=dict(served.about), known=known, scores=told)
        console.print(f"page: {page.resolve()}", markup=False, highlight=False)
