"""``sequela scan``: detection of events in long recordings."""

from pathlib import Path

from sequela.cli.names import TrustCode


def scan(
    model: Path,
    recordings: list[Path],
    /,
    *,
    out: Path,
    page: Path | None = None,
    event: str = "",
    channels: tuple[str, ...] = (),
    step: float | None = None,
    smooth: float = 5.0,
    threshold: float | None = None,
    shortest: float = 10.0,
    gap: float = 10.0,
    truth: str | None = None,
    trust_code: TrustCode = False,
) -> None:
    """Scan long EEG recordings and write the detected events.

    A recording is read window by window. A model of one channel scores each channel, and the
    highest probability counts. Probabilities are smoothed; times at or above the threshold are
    events. The output has the columns of BIDS and SzCORE. The model detects events that resemble
    its training data. It is not a medical device.

    Example: `sequela scan gru.onnx night.edf --out night_events.tsv --page night.html`

    Args:
        model: FILE.onnx of `sequela export`, or a run folder.
        recordings: EDF, EDF+ or BDF files, which are resampled to the rate of the model.
        out: The events, as a tab-separated table; for several recordings it has a last column
            `file`.
        page: HTML page with pictures of each recording and of its events.
        event: Class to detect (default: seizure, or the second of two classes).
        channels: Channels to read (default: those of the model, or all voltages).
        step: Seconds from one window to the next (default: half a window).
        smooth: Seconds over which probabilities are averaged.
        threshold: Lowest probability of an event (default: the model's threshold, or 0.5).
        shortest: Shortest event, in seconds.
        gap: Longest gap between two events that are joined, in seconds.
        truth: Known events, to print the scores of SzCORE: an events.tsv (with a column `file` for
            several recordings), or their source: `summary` (CHB-MIT), `siena`, `seizeit`, `bids`
            or `annotations`.
    """
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from sequela.files import require_file, whole
    from sequela.serving import load
    from sequela.serving.scan import Scanning, looked_for, table
    from sequela.serving.scan import scan as scan_recording
    from sequela.serving.szcore import scores
    from sequela.serving.szcore import truth as known_events

    # Scanning a night takes minutes, so a path that cannot be written is refused first.
    for path in (out, page):
        if path is not None:
            require_file(path)
    how = Scanning(event, step, smooth, threshold, shortest, gap, channels)
    console = Console(soft_wrap=True)
    served = load(model, trust_code=trust_code)
    event = looked_for(served, event)
    spans = None if truth is None else known_events(truth, recordings, event)
    scans = []
    with Progress(console=console, disable=not console.is_terminal, transient=True) as bar:
        for path in recordings:
            task = bar.add_task(path.name, total=1.0)

            def advance(share: float, task: TaskID = task) -> None:
                bar.update(task, completed=share)

            scans.append(scan_recording(served, path, how, advance))
    agreement = [] if spans is None else scores(spans, scans)
    with whole(out) as partial:
        partial.write_text(table(scans), encoding="utf-8")
    for scanned in scans:
        name = f"{scanned.path.name}: " if len(scans) > 1 else ""
        for line in scanned.recording.notes:
            print(f"{name}{line}")
        print(f"{name}{scanned.in_words}")
    for score in agreement:
        print(score)
    if page is not None:
        from sequela.report.pages.scan_page import build_scan

        build_scan(scans, page, about=dict(served.about), known_events=spans, scores=agreement)
        print(f"page: {page.resolve()}")
