"""The same work with two commits on one machine, compared by file: ``make golden BASE=COMMIT``.

Trains each network for two epochs and fits each baseline model on the excerpts, builds the events
of the excerpts and of the hospital in docs/tables.md, exports, predicts, scans, and writes the
pages. Models, predictions, splits, costs and events must be the same bytes; of JSON, all but times
and memory; of pages, the numbers. Run folders of the base and of version 0.2.0 must open with
this commit, with their models and predictions. A file that differs is listed with its reason in
``benchmarks/golden.toml``, else the exit status is 1.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stderr, redirect_stdout
from html import unescape
from pathlib import Path
from typing import Any

from pyarrow import parquet

ROOT = Path(__file__).parent.parent
REASONS = Path(__file__).with_suffix(".toml")
COMMIT_OF_0_2_0 = "09c780af732f15c4cf5823d35797d2918ddfa548"
QUICK = ["--epochs", "2"]
OF_SIGNALS = {
    "networks": ("mlp-baseline", "mlp-improved", "cnn-baseline", "cnn-improved", "gru-baseline",
        "gru-improved", "spectral-mlp", "spectral-mlp-small", "spectral-mlp-large",
        "recording-attention"),
    "baseline models": ("majority-class", "logistic-regression", "spectral-logistic-regression",
        "spectral-boosting"),
}  # fmt: skip
OF_RECORDS = {
    "networks": ("visits-baseline mimic3", "visits-improved mimic3", "visits-attention eicu",
        "values-lstm physionet2012"),
    "baseline models": ("prevalence mimic3", "logistic-regression mimic3", "boosting mimic3",
        "summaries-logistic-regression physionet2012", "summaries-boosting physionet2012",
        "saps-i physionet2012 --inputs SCORE", "sofa physionet2012 --inputs SCORE",
        "apache-iva eicu --inputs APACHE_PREDICTION"),
}  # fmt: skip
STUDY = """\
name = "small"
data = ["bonn"]
splits = ["session", "row"]
models = ["mlp-baseline", "majority-class", "logistic-regression"]
[training.mlp-baseline]
epochs = 2
"""
VARIES = re.compile(r"(seconds|_us|_bytes|date|time|created|environment|path|place|origin)$")
"""Keys of JSON with times, memory, and what names the place of a run."""
CHECKSUMS = {b"sequela.sha256", b"sequela.model"}
"""Metadata of predictions: a checksum that is retired, and the digest of a file with times."""
AS_BYTES = {".safetensors", ".parquet", ".csv", ".tsv"}
_NUMBER = re.compile(r"[-+\u2212]?\d[\d,]*(?:\.\d+)?")
_UNREAD = re.compile(r"<(script|style|svg)\b.*?</\1>|<[^>]*>", re.DOTALL)
_OF_THE_DAY = re.compile(
    r"\d{4}-\d\d-\d\d\S*|[0-9a-f]{7,}|\S*[\d.]+ (?:s|seconds|ms|µs|GB|MB|kB|KB|MiB)\b"
)


def signal_commands() -> list[list[str]]:
    """Return the commands on recordings."""
    trained = [
        ["train", model, "--data", "bonn", *QUICK * (kind == "networks"), "--out", model]
        for kind, models in OF_SIGNALS.items()
        for model in models
    ]
    return [
        *trained,
        ["report", "mlp-improved", "spectral-boosting", "--out", "report.html"],
        ["audit", "mlp-improved", "--page", "audit.html"],
        ["explain", "cnn-improved", "--out", "explanation.html"],
        ["compare", "mlp-improved", "cnn-improved", "--out", "comparison.html"],
        ["card", "spectral-mlp", "--out", "card.md"],
        ["export", "spectral-mlp", "--out", "spectral.onnx"],
        ["predict", "spectral.onnx", "--data", "bonn", "--out", "of-the-file.parquet"],
        ["scan", "spectral-mlp", "night.edf", "--out", "events.tsv", "--page", "scan.html"],
        ["study", "small.toml", "--out", "study"],
    ]


def record_commands() -> list[list[str]]:
    """Return the commands on hospital records."""
    builds = [
        ["build", name, "--out", f"events-{name}"] for name in ("mimic3", "eicu", "physionet2012")
    ]
    trained = [
        ["train", model, "--data", data, *options, *quick, "--out", model]
        for kind, models in OF_RECORDS.items()
        for model, data, *options in map(str.split, models)
        for quick in (QUICK * (kind == "networks"),)
    ]
    other = ["--data", "physionet2012", "--root", "events-physionet2012"]
    return [
        *builds,
        ["build", "tables", "--root", "hospital", "--out", "events-hospital"],
        *trained,
        ["train", "boosting", "--data", "tables", "--root", "hospital", "--out", "hospital-run"],
        ["report", "values-lstm", "summaries-boosting", "--out", "report.html"],
        ["audit", "values-lstm", "--page", "audit.html"],
        ["explain", "values-lstm", "--out", "explanation.html"],
        ["evaluate", "values-lstm", *other, "--page", "external.html"],
        ["card", "values-lstm", "--out", "card.md"],
        ["export", "values-lstm", "--out", "values.onnx"],
        ["predict", "values.onnx", *other, "--out", "of-the-file.parquet"],
    ]


def old_commands() -> list[list[str]]:
    """Return the commands that version 0.2.0 runs."""
    models = (("spectral-mlp", "bonn"), ("spectral-boosting", "bonn"), ("boosting", "mimic3"),
        ("visits-baseline", "mimic3"), ("values-lstm", "physionet2012"))  # fmt: skip
    return [["train", model, "--data", data, *QUICK, "--out", model] for model, data in models]


LANES = {"signals": signal_commands, "records": record_commands, "old": old_commands}


def work(lane: str) -> None:
    """Run the commands of a lane in this process, in the current folder."""
    from sequela.cli.app import main

    prepare(lane)
    for arguments in LANES[lane]():
        with Path("printed.txt").open("a", encoding="utf-8") as printed:
            printed.write(f"$ sequela {' '.join(arguments)}\n")
            printed.flush()
            with redirect_stdout(printed), redirect_stderr(printed):
                sys.argv = ["sequela", *arguments]
                try:
                    main()
                except SystemExit as ended:
                    if ended.code:
                        printed.write(f"exit status {ended.code}\n")


def prepare(lane: str) -> None:
    """Write the inputs that the package does not hold."""
    if lane == "records":
        text = (ROOT / "docs" / "tables.md").read_text("utf-8")
        script, declaration = (
            text.split(f"```{name}\n", 1)[1].split("```", 1)[0] for name in ("python", "toml")
        )
        exec(script, {})  # noqa: S102 # our own page
        Path("hospital/tables.toml").write_text(declaration, "utf-8")
        return
    if lane == "old":
        return
    Path("small.toml").write_text(STUDY, "utf-8")
    import numpy as np

    from sequela.datasets.catalog import EXCERPTS

    signals = parquet.read_table(EXCERPTS / "bonn.parquet")["signal"].to_pylist()
    night = np.concatenate([np.asarray(signal, float) for signal in signals[::20]])
    write_edf(Path("night.edf"), night.clip(-1000, 1000))


def write_edf(path: Path, signal: Any) -> None:
    """Write one channel in µV at 173 Hz as EDF (Kemp et al. 1992), in records of one second."""
    import numpy as np

    rate = 173
    seconds = len(signal) // rate
    fields = [
        ("0", 8), ("X X X X", 80), ("Startdate X X X X", 80), ("01.01.26", 8), ("00.00.00", 8),
        ("512", 8), ("", 44), (str(seconds), 8), ("1", 8), ("1", 4), ("EEG Fp1", 16), ("", 80),
        ("uV", 8), ("-1000", 8), ("1000", 8), ("-32768", 8), ("32767", 8), ("", 80),
        (str(rate), 8), ("", 32),
    ]  # fmt: skip
    head = "".join(text.ljust(width) for text, width in fields).encode("ascii")
    digital = np.round((signal[: seconds * rate] + 1000) / 2000 * 65_535 - 32_768)
    path.write_bytes(head + digital.astype("<i2").tobytes())


def made_with(source: Path, out: Path, home: Path, lanes: Sequence[str]) -> None:
    """Run the lanes with the package of a folder, at the same time."""
    settings = {
        **{name: value for name, value in os.environ.items() if name != "SEQUELA_DATA"},
        "PYTHONPATH": str(source / "src"),
        "HOME": str(home),
        "OMP_NUM_THREADS": "1",
    }

    def run(lane: str) -> None:
        folder = out / lane
        folder.mkdir(parents=True)
        subprocess.run(  # noqa: S603
            [sys.executable, __file__, "--lane", lane],
            cwd=folder,
            env={**settings, "SEQUELA_OPENINGS": str(out / f"{lane}.jsonl")},
            check=True,
        )

    with ThreadPoolExecutor(len(lanes)) as pool:
        list(pool.map(run, lanes))


def content(path: Path) -> object:
    """Return what must not change of a file; ``None`` of one that may have anything."""
    if path.suffix == ".parquet":
        table = parquet.read_table(path)
        metadata = table.schema.metadata or {}
        if b"sequela.internal" in metadata:
            kept = {key: metadata[key] for key in metadata.keys() - CHECKSUMS}
            return kept, table.replace_schema_metadata(None)
    if path.suffix in AS_BYTES:
        return path.read_bytes()
    if path.suffix == ".json" and path.name not in {"manifest.json", "environment.json"}:
        return _lasting(json.loads(path.read_text("utf-8")))
    if path.suffix in {".html", ".md"}:
        text = unescape(_UNREAD.sub(" ", path.read_text("utf-8")))
        return _NUMBER.findall(_OF_THE_DAY.sub(" ", text))
    return None


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _lasting(part) for key, part in value.items() if not VARIES.search(key)}
    return [_lasting(part) for part in value] if isinstance(value, list) else value


def differences(base: Path, head: Path) -> list[str]:
    """Return the files that are not the same, or only with one of two commits."""
    files = {
        path.relative_to(folder)
        for folder in (base, head)
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".jsonl" and "checkpoint" not in path.parent.name
    }
    return sorted(
        str(file)
        for file in files
        if not ((base / file).exists() and (head / file).exists())
        or content(base / file) != content(head / file)
    )


def not_opened(folder: Path) -> list[str]:
    """Return the run folders below a folder that this commit cannot open."""
    from sequela.errors import SequelaError
    from sequela.runs.find import open_run
    from sequela.runs.model import open_model

    refused = []
    for settings in sorted(folder.glob("*/*/config.toml")):
        try:
            run = open_run(settings.parent)
            _ = run.metrics, run.account, run.facts, [once.predictions for once in run.runs]
            _ = [open_model(once) for once in run.runs]
        except SequelaError as error:
            refused.append(f"{settings.parent}: {error}")
    return refused


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--base", help="commit to compare with")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "golden")
    parser.add_argument("--lane", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.lane:
        work(arguments.lane)
        return
    out = arguments.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    subprocess.run(["git", "worktree", "prune"], cwd=ROOT, check=True)  # noqa: S607
    for name, commit in (("base", arguments.base), ("0.2.0", COMMIT_OF_0_2_0)):
        tree = ["--detach", str(out / "trees" / name), commit]
        subprocess.run(["git", "worktree", "add", "--quiet", *tree], cwd=ROOT, check=True)  # noqa: S603, S607
    for name, source in (("base", out / "trees" / "base"), ("head", ROOT)):
        made_with(source, out / name, out / "home", ("signals", "records"))
    made_with(out / "trees" / "0.2.0", out / "0.2.0", out / "home", ("old",))
    reasons = tomllib.loads(REASONS.read_text("utf-8")) if REASONS.exists() else {}
    changed = differences(out / "base", out / "head")
    unexplained = [file for file in changed if not any(re.search(rule, file) for rule in reasons)]
    for file in changed:
        reason = next((why for rule, why in reasons.items() if re.search(rule, file)), "NO REASON")
        print(f"{file}: {reason}")
    refused = not_opened(out / "base") + not_opened(out / "0.2.0")
    print("\n".join(refused))
    print(f"{len(changed)} files differ, {len(unexplained)} without a reason")
    sys.exit(bool(unexplained or refused))


if __name__ == "__main__":
    main()
