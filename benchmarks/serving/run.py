"""Latency and load of a served model.

    python -m benchmarks.serving.run [--seconds 60] [--quick] [--write]

Trains two models on the recordings of the package, exports them, and measures:

- one segment asked at a time: ONNX Runtime and torch (eager), one thread;
- the served file under 100 clients at once: bodies of one segment and of 64, answered in batches
  (as by default) and one segment after the other (--batch 1).

Takes about three minutes on two quiet cores. With --write, summary.json and the tables of the docs
are written. With --quick, one model is served for moments, to see that everything works.
"""

import argparse
import asyncio
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import distributions, version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from benchmarks.serving import clients
from numpy.typing import NDArray

from sequela.config import RunSettings, TrainingSettings
from sequela.datasets.catalog import EXCERPTS, load_recordings
from sequela.serving import load
from sequela.web.app import BATCH

HERE = Path(__file__).parent
SUMMARY = HERE / "summary.json"
PAGE = HERE.parents[1] / "docs/contributing/speed.md"
MARK = "<!-- by benchmarks.serving.run -->\n"
DEFAULT, GRU = "spectral-mlp", "gru-baseline"
CLIENTS, SEVERAL = 100, 64
CALLS, QUICK_CALLS = 3000, 30
SHORT = 10.0
"""Seconds of all loads but the first."""
MOMENT = 0.2
"""Seconds of each load, with --quick."""
MICRO = 1e6
PACKAGES = ("onnxruntime", "torch", "fastapi", "uvicorn")


def trained(model: str, work: Path) -> tuple[Path, Path]:
    """A run, and its file. What the weights are makes no difference to the time."""
    from sequela.runs.fit import train
    from sequela.serving.export import write_export

    run, file = work / model, work / f"{model}.onnx"
    settings = RunSettings(model=model, data="bonn", training=TrainingSettings(epochs=1))
    train(settings, run, root=EXCERPTS / "bonn.parquet")
    write_export(run, file, root=EXCERPTS / "bonn.parquet")
    return run, file


def segments(count: int) -> NDArray[np.float32]:
    """Segments of recordings, float32 (segment, 1, 178)."""
    recordings, _ = load_recordings("bonn", EXCERPTS / "bonn.parquet")
    cut = [r.signal[:, : 178 * 23].reshape(1, 23, 178).swapaxes(0, 1) for r in recordings]
    return np.concatenate(cut).astype(np.float32)[:: len(cut) * 23 // count][:count]


def latency(run: Path, file: Path, calls: int) -> dict[str, float]:
    """Microseconds of one segment: the median of many calls."""
    import torch

    from sequela.runs.folder import RunFolder
    from sequela.runs.model import open_network
    from sequela.serving.served_model import OnnxModel

    torch.set_num_threads(1)
    signal = torch.from_numpy(segments(1))
    served = load(file)
    graph = OnnxModel(str(file), file.read_bytes()).session
    inputs: dict[str, NDArray[Any]] = {"signal": signal.numpy(), "lengths": np.array([178])}
    read = {name: inputs[name] for name in served.inputs}
    network = open_network(RunFolder(run), "a benchmark").module()
    with torch.inference_mode():
        eager = _median(lambda: network(signal), calls)
    runtime = _median(lambda: graph.run(["probabilities"], read), calls)
    checked = _median(lambda: served.probabilities(inputs), calls)
    return {
        "onnx_runtime_microseconds": round(runtime, 1),
        "with_checks_microseconds": round(checked, 1),
        "torch_eager_microseconds": round(eager, 1),
        "times_faster": round(eager / runtime, 1),
    }


def _median(call: Callable[[], object], calls: int) -> float:
    for _ in range(calls // 10):
        call()
    taken = []
    for _ in range(calls):
        before = time.perf_counter()
        call()
        taken.append(time.perf_counter() - before)
    return float(np.median(taken)) * MICRO


@contextmanager
def served_by(file: Path, batch: int) -> Iterator[str]:
    """A server of a file; gives its address."""
    asked = [sys.executable, "-m", "sequela", "serve", str(file), "--port", "0"]
    with subprocess.Popen(  # noqa: S603 - our own command
        [*asked, "--batch", str(batch)], stdout=subprocess.PIPE, text=True
    ) as server:
        try:
            assert server.stdout is not None  # noqa: S101 - for the type checker
            lines = iter(server.stdout.readline, "")
            yield next(line.split()[1] for line in lines if line.startswith("page:"))
        finally:
            server.terminate()
            server.communicate(timeout=20)


def load_of(file: Path, *, batch: int, size: int, seconds: float) -> dict[str, Any]:
    """One server under many clients."""
    body = segments(size).astype("<f4").tobytes()
    with served_by(file, batch) as address:
        path = f"{address}v1/predict?sfreq=173.61&unit=uV"
        asyncio.run(clients.ask(path, body, clients=CLIENTS, seconds=min(1, seconds)))
        found = asyncio.run(clients.ask(path, body, clients=CLIENTS, seconds=seconds))
    took = np.array(found.seconds) * 1000
    p50, p99 = np.percentile(took, [50, 99]).tolist()
    return {
        "segments_of_a_body": size,
        "batch": batch,
        "clients": CLIENTS,
        "seconds": seconds,
        "requests": len(took),
        "errors": len(found.errors),
        "first_error": found.errors[0] if found.errors else None,
        "segments_a_second": round(len(took) * size / seconds),
        "p50_milliseconds": round(p50, 1),
        "p99_milliseconds": round(p99, 1),
    }


def machine(*packages: str) -> dict[str, Any]:
    """Describe the commit, the machine, its load, and the versions of the installed packages."""
    installed = {each.name for each in distributions()}
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"],  # noqa: S607
        cwd=HERE, check=False, capture_output=True, text=True,
    )  # fmt: skip
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "commit": commit.stdout.strip(),
        "machine": f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores",
        "load_average": round(os.getloadavg()[0], 2),
        "versions": {name: version(name) for name in packages if name in installed},
    }


def document(found: dict[str, Any]) -> str:
    """What the docs say of it, in Markdown."""
    made, latency = found["made"], found["latency"]
    versions = made["versions"]
    rows = [
        ("ONNX Runtime", latency["onnx_runtime_microseconds"]),
        ("ONNX Runtime, with the checks of `sequela.serving`", latency["with_checks_microseconds"]),
        ("torch, eager", latency["torch_eager_microseconds"]),
    ]
    parts = [
        (
            f"Measured on {made['date']} at commit `{made['commit']}`: {made['machine']}, with a "
            f"load average of {made['load_average']:g} before; ONNX Runtime "
            f"{versions['onnxruntime']}, torch {versions['torch']}."
        ),
        f"| one segment, `{latency['model']}`, one thread | µs (median) |\n|---|---:|\n"
        + "\n".join(f"| {name} | {value:,.0f} |" for name, value in rows),
        f"ONNX Runtime is {latency['times_faster']:.0f} times faster than torch.",
        f"| {CLIENTS} clients at once | requests | errors | segments a second | p50 | p99 |\n"
        "|---|---:|---:|---:|---:|---:|\n" + "\n".join(map(_row, found["load"])),
        *(_gain(name, gain) for name, gain in found["batched"].items()),
    ]
    return "\n\n".join(parts) + "\n"


def _row(each: dict[str, Any]) -> str:
    size, batch = each["segments_of_a_body"], each["batch"]
    how = "in batches" if batch > 1 else "one after the other"
    return (
        f"| `{each['model']}`, {size} segment{'s' if size > 1 else ''} a request, {how}, "
        f"{each['seconds']:g} s | {each['requests']:,} | {each['errors']} | "
        f"{each['segments_a_second']:,} | {each['p50_milliseconds']:,.0f} ms | "
        f"{each['p99_milliseconds']:,.0f} ms |"
    )


def _gain(name: str, gain: dict[str, float]) -> str:
    return (
        f"`{name}`: with {SEVERAL} segments a request, the server processes "
        f"{gain['bodies_of_several']:.1f} times as many segments in batches as one after the "
        f"other; with one segment a request, {gain['bodies_of_one']:.1f} times as many. Batches of "
        f"{SEVERAL} segments a request give {gain['several_to_one']:.0f} times as many segments as "
        "single ones, one after the other."
    )


def loaded(file: Path, model: str, seconds: float) -> Iterator[dict[str, Any]]:
    """A served file under each load; the first takes longest."""
    for size, batch in ((1, BATCH), (1, 1), (SEVERAL, BATCH), (SEVERAL, 1)):
        yield {"model": model, **load_of(file, batch=batch, size=size, seconds=seconds)}
        seconds = min(seconds, SHORT)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=60, help="of the main load")
    parser.add_argument("--quick", action="store_true", help="one model, for moments")
    parser.add_argument("--write", action="store_true", help="write summary.json")
    asked = parser.parse_args()
    loads = {DEFAULT: MOMENT} if asked.quick else {DEFAULT: asked.seconds, GRU: SHORT}
    found: dict[str, Any] = {"made": machine(*PACKAGES)}
    with TemporaryDirectory() as name:
        made = {model: trained(model, Path(name)) for model in (DEFAULT, GRU)}
        found["latency"] = {
            "model": GRU,
            **latency(*made[GRU], QUICK_CALLS if asked.quick else CALLS),
        }
        print(json.dumps(found, indent=1), flush=True)
        found |= {"load": [], "batched": {}}
        for model, seconds in loads.items():
            rates = []
            for each in loaded(made[model][1], model, seconds):
                print(json.dumps(each), flush=True)
                found["load"].append(each)
                rates.append(each["segments_a_second"])
            found["batched"][model] = {
                "bodies_of_one": round(rates[0] / rates[1], 2),
                "bodies_of_several": round(rates[2] / rates[3], 2),
                "several_to_one": round(rates[2] / rates[1], 2),
            }
        print(json.dumps(found["batched"]), flush=True)
    if asked.write:
        SUMMARY.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
        before, _, rest = PAGE.read_text("utf-8").partition(MARK)
        after = rest.partition(MARK)[2]
        PAGE.write_text(f"{before}{MARK}\n{document(found)}\n{MARK}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
