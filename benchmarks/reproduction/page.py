"""The results in ``README.md`` and ``docs/reproduce.md``, from committed numbers.

    make reproduce
    python benchmarks/reproduction/page.py --results reproduction/results.json
    python benchmarks/reproduction/page.py      # writes the pages again, in seconds

``--results`` writes ``summary.json`` next to this file first. ``--reproduce-seconds`` and
``--test-seconds`` add how long ``make reproduce`` and ``make test`` took; without them, the times
that the file has are kept. The cost of use comes from ``benchmarks/accuracy/summary.json``.
Only what stands between the marks of a page is replaced.
"""

import argparse
import json
import subprocess
from collections import Counter
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from sequela.evaluation.number import number
from sequela.models.registry import title_of
from sequela.studies.registry import STUDIES
from sequela.studies.verdicts import ANSWERS, CONTRADICTED, OPEN, SUPPORTED

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
README, PAGE = ROOT / "README.md", ROOT / "docs" / "reproduce.md"
SUMMARY = HERE / "summary.json"
LEAKING = ("recording", "row")
"""Splits of EEG that leak."""
MADE, END = "<!-- {}: benchmarks/reproduction/page.py -->", "<!-- end -->"

FEWEST = STUDIES["mortality"].very_few
"""Deaths below which nothing is concluded."""

Study = Mapping[str, Any]


def read(path: Path = SUMMARY) -> dict[str, Any]:
    """What ``--results``, or the benchmark of accuracy, wrote."""
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def summary_of(results: Mapping[str, Any], made: Mapping[str, Any]) -> dict[str, Any]:
    """What the pages need of ``results.json``.

    Args:
        results: Its content.
        made: When, where, and in how many seconds.
    """
    environment = results["environment"]
    where = {
        "version": environment["sequela"],
        "machine": f"{environment['machine']} {environment['system']}, "
        f"{environment['cores']} cores",
    }
    studies = {key: _study(content) for key, content in results["studies"].items()}
    return {"made": {**made, **where}, "studies": studies}


def _study(content: Study) -> dict[str, Any]:
    data = content["data"]
    kept = ("examples", "subjects", "recordings", "claims")
    found = {name: content[name] for name in kept if name in content}
    found |= {name: data[name] for name in ("sessions",) if name in data}
    models = {
        name: _model(entry)
        for kind in ("models", "floors", "default")
        for name, entry in content.get(kind, {}).items()
    }
    entries = [*content.get("models", {}).values(), *content.get("floors", {}).values()]
    found_out = {finding["severity"] for entry in entries for finding in entry["leaks"]}
    return {
        "data": data["title"],
        "question": data["question"],
        "icd_digits": data.get("sequences", {}).get("settings", {}).get("icd_digits"),
        "positives": data.get("positives"),
        "leaks": "leak" in found_out,
        **found,
        "default": next(iter(content.get("default", {})), None),
        "best": content.get("best", {}).get("sentence"),
        "models": models,
    }


def _model(entry: Mapping[str, Any]) -> dict[str, Any]:
    test = entry["test"]
    metric = "auroc" if test.get("auroc") is not None else "accuracy"
    found = {metric: test[metric], "ci": test[f"{metric}_ci"]}
    if test.get("recording_accuracy") is not None:
        found["recording_accuracy"] = test["recording_accuracy"]
    kept = ("parameters", "operations", "inference_us", "inflation")
    return found | {name: entry[name] for name in kept if name in entry}


def percent(value: float) -> str:
    return number(value, ".0%").replace("%", " %")


def points(value: float) -> str:
    return number(100 * value, ".0f")


def level(model: Mapping[str, Any] | None) -> str:
    """A number with its interval: accuracy in percent, AUROC with two digits."""
    if model is None:
        return number(None)
    if "auroc" in model:
        low, high = (number(each, ".2f") for each in model["ci"])
        return f"{number(model['auroc'], '.2f')} ({low} to {high})"
    if model["ci"] is None or model["ci"][0] == model["ci"][1]:
        return percent(model["accuracy"])
    low, high = (points(each) for each in model["ci"])
    return f"{percent(model['accuracy'])} ({low} to {high})"


def by(summary: Mapping[str, Any], split: str) -> Mapping[str, Any]:
    """The models of a split of EEG that leaks."""
    found: Mapping[str, Any] = summary["studies"].get(f"seizure-by-{split}", {}).get("models", {})
    return found


def inflation(summary: Mapping[str, Any], split: str) -> str:
    """What a split adds to the accuracy of the default model on the same segments, in points."""
    default = summary["studies"]["seizure"]["default"]
    found = by(summary, split)[default]["inflation"]
    value, low, high = (points(each) for each in (found["difference"], *found["ci"]))
    return f"{value} points ({low} to {high})"


ONE = {
    "hold": "holds",
    "do not hold": "does not hold",
    "are inconclusive": "is inconclusive",
}
"""Of one claim."""


def tally(claims: list[Mapping[str, Any]]) -> str:
    """How many claims have each answer."""
    counts = Counter(claim["verdict"] for claim in claims)
    each = Counter(claim["interval_verdict"] for claim in claims)
    said = ("hold", "do not hold", "are inconclusive", "cannot be tested on these data")
    parts = [
        f"{counts[answer]} {ONE.get(words, words) if counts[answer] == 1 else words}"
        for answer, words in zip(ANSWERS, said, strict=True)
        if counts[answer]
    ]
    intervals = ", ".join(f"{each[answer]} {answer}" for answer in (SUPPORTED, CONTRADICTED, OPEN))
    return f"{', '.join(parts)}. From the 95 % intervals alone, {intervals}"


def five_lines(summary: Mapping[str, Any]) -> str:
    """The results in the README."""
    eeg, deaths = summary["studies"]["seizure"], summary["studies"]["mortality"]
    best, spectral = eeg["models"][eeg["default"]], "spectral-logistic-regression"
    report = max(
        (name for name in eeg["models"] if name.endswith(("-baseline", "-improved"))),
        key=lambda name: eeg["models"][name]["accuracy"],
    )
    micro = best["inference_us"]
    claims = [claim for study in (eeg, deaths) for claim in study["claims"]]
    words = {
        deaths["default"]: f"`{deaths['default']}`",
        "boosting": "boosting",
        "logistic-regression": "logistic regression",
        "visits-improved": "the report's LSTM",
    }
    aurocs = [
        f"{word} {level(deaths['models'][name])}"
        for name, word in words.items()
        if name in deaths["models"]
    ]
    return (
        f"- **Five states in one second of EEG**, {eeg['recordings']} recordings "
        f"of {eeg['sessions']} sessions: `{eeg['default']}` classifies {level(best)} of one-second "
        f"segments correctly, and {percent(best['recording_accuracy'])} of whole recordings. It "
        f"needs {best['operations']:,} operations and {micro:.0f} µs for each.\n"
        f"- **The networks of the report** get {level(eeg['models'][report])} at best "
        f"(`{report}`). A logistic regression on the spectrum gets "
        f"{level(eeg['models'][spectral])}.\n"
        "- **Leakage**: if recordings made at the same time are in both the training and the test "
        f"set, the accuracy of `{eeg['default']}` changes by {inflation(summary, 'recording')}; if "
        f"segments of one recording are, by {inflation(summary, 'row')}.\n"
        f"- **Death in the hospital** after 48 hours of intensive care, {deaths['positives']:,} "
        f"deaths of {deaths['examples']:,}. AUROC: {', '.join(aurocs)}.\n"
        f"- **The report makes {len(claims)} claims**: {tally(claims)}."
    )


def minutes(seconds: float) -> str:
    return f"{max(1, round(seconds / 60))} minutes"


def times(summary: Mapping[str, Any]) -> str:
    """The README's two commands, with how long they took."""
    made = summary["made"]
    rows = {
        "reproduce": "all models, `reproduction/report.html` and `reproduction/results.json`",
        "test": "a line for each group of tests, and how many passed",
    }
    lines = ["| command | time | what appears |", "|---|---|---|"]
    for name, what in rows.items():
        took = made.get(f"{name}_seconds")
        lines.append(f"| `make {name}` | {minutes(took) if took else 'not measured'} | {what} |")
    return "\n".join([*lines, "", f"Measured on {made['machine']}, no GPU, environment included."])


def eeg_table(summary: Mapping[str, Any]) -> str:
    """A row for each model on EEG."""
    heads = ("model", "by session", "whole recordings", "by recording: leaks", "by row: leaks")
    lines = [
        f"| {' | '.join(heads)} | parameters | operations |",
        "|---|---|---|---|---|---:|---:|",
    ]
    for name, model in summary["studies"]["seizure"]["models"].items():
        leaking = [by(summary, split).get(name) for split in LEAKING]
        cells = [
            title_of(name),
            level(model),
            percent(model["recording_accuracy"]),
            *(percent(each["accuracy"]) if each else number(None) for each in leaking),
            number(model["parameters"], ",.0f"),
            number(model["operations"], ",.0f"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def digits(kept: int | None) -> str:
    """What is read of an ICD code."""
    if kept is None:
        return ""
    return f"; ICD codes with {kept} digits after the dot" if kept else "; ICD codes to the dot"


def mortality_table(summary: Mapping[str, Any]) -> str:
    """A row for each cohort with enough deaths, and a sentence on the others."""
    every = [each for key, each in summary["studies"].items() if key.startswith("mortality")]
    cohorts = [each for each in every if each["positives"] >= FEWEST]
    shown = ("visits-baseline", "visits-improved", "logistic-regression", "boosting")
    titles = " | ".join(title_of(name) for name in shown)
    lines = [
        f"| data, question | deaths of examples | {titles} | default model |",
        "|---|---|---|---|---|---|---|",
    ]
    for cohort in cohorts:
        leaks = " (**leaks**)" * cohort["leaks"]
        models, default = cohort["models"], cohort["default"]
        own = f"{title_of(default)} {level(models[default])}" if default else number(None)
        cells = [
            f"{cohort['data']}, {cohort['question']}{digits(cohort['icd_digits'])}{leaks}",
            f"{number(cohort['positives'], ',.0f')} of {number(cohort['examples'], ',.0f')}",
            *(level(models.get(name)) for name in shown),
            own,
        ]
        lines.append(f"| {' | '.join(cells)} |")
    few: dict[str, dict[str, None]] = {}
    for each in every:
        if each["positives"] < FEWEST:
            many = f"{each['positives']} deaths of {each['examples']} examples"
            few.setdefault(each["data"], {})[many] = None
    for data, deaths in few.items():
        too_few = f"{' and '.join(deaths)} are too few to rank models"
        lines += ["", f"Not in the table: {data}. There, {too_few}."]
    return "\n".join(lines)


def claims_table(summary: Mapping[str, Any], key: str) -> str:
    """A row for each claim of a study."""
    claims = summary["studies"][key]["claims"]
    head = ["| claim | from the interval | answer | the same in reruns |", "|---|---|---|---|"]
    lines = [f"{len(claims)} claims: {tally(claims)}.", "", *head]
    for claim in claims:
        same = claim.get("same_in_reruns")
        stable = f"{same[0]} of {same[1]}" if same else number(None)
        interval = claim["interval_verdict"]
        lines.append(f"| {claim['claim']} | {interval} | {claim['verdict']} | {stable} |")
    return "\n".join(lines)


def parts(summary: Mapping[str, Any]) -> dict[Path, dict[str, str]]:
    """What stands between which marks of which page."""
    made = summary["made"]
    best = {key: summary["studies"][key]["best"] for key in ("seizure", "mortality")}
    return {
        README: {"results": five_lines(summary), "times": times(summary)},
        PAGE: {
            "made": f"Measured on {made['date']}, version {made['version']}, {made['machine']}.",
            "seizures": "\n\n".join(filter(None, [eeg_table(summary), best["seizure"]])),
            "leak": (
                "The accuracy of the default model minus that by session, on the same segments: "
                f"by recording {inflation(summary, 'recording')}, by row "
                f"{inflation(summary, 'row')}."
            ),
            "mortality": "\n\n".join(filter(None, [mortality_table(summary), best["mortality"]])),
            "claims on seizures": claims_table(summary, "seizure"),
            "claims on mortality": claims_table(summary, "mortality"),
        },
    }


def written(text: str, inside: Mapping[str, str]) -> str:
    """A page with each part between its marks."""
    for name, part in inside.items():
        before, mark, rest = text.partition(MADE.format(name))
        _, end, after = rest.partition(END)
        if not (mark and end):
            raise ValueError(f"no place marked for {name}")
        text = f"{before}{mark}\n\n{part}\n\n{end}{after}"
    return text


def commit() -> str:
    """Of the code that ran."""
    said = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(  # noqa: S603 - git of this machine
        said, cwd=HERE, capture_output=True, text=True, check=True
    ).stdout.strip()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--results", type=Path)
    parser.add_argument("--reproduce-seconds", type=float)
    parser.add_argument("--test-seconds", type=float)
    said = parser.parse_args()
    summary = read() if SUMMARY.exists() else {"made": {}}
    if said.results:
        made = {"date": date.today().isoformat(), "commit": commit()}
        results = json.loads(said.results.read_text(encoding="utf-8"))
        summary = summary_of(results, summary["made"] | made)
    for name in ("reproduce_seconds", "test_seconds"):
        if getattr(said, name) is not None:
            summary["made"][name] = getattr(said, name)
    SUMMARY.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for path, inside in parts(summary).items():
        path.write_text(written(path.read_text(encoding="utf-8"), inside), encoding="utf-8")
        print(f"written: {path}")


if __name__ == "__main__":
    main()
