"""The tables and pictures of the page on accuracy, from ``summary.json`` next to this file.

    python benchmarks/accuracy/run.py --seeds 3 --write   # measures, for hours
    python benchmarks/accuracy/page.py                    # writes the page again, in seconds

Only what stands between the two marks of the page is replaced.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sequela.evaluation.number import number
from sequela.figures.figure import Figure
from sequela.figures.pareto import accuracy_against_operations

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs/contributing/accuracy.md"
PICTURES = HERE.parents[1] / "docs" / "pictures"
BEGIN, END = "<!-- made by benchmarks/accuracy/page.py -->", "<!-- end -->"
TITLES = {
    "eeg-segment": ("EEG, one segment of 1.03 s, five classes", "accuracy", "segment"),
    "eeg-recording": ("EEG, a whole recording", "accuracy of whole recordings", "segment"),
    "physionet2012": ("PhysioNet 2012, death in the stay at 48 hours", "AUROC", "patient"),
    "eicu": ("eICU demo, death in the stay at 24 hours", "AUROC", "patient"),
    "eicu-apache": ("eICU demo, the same with what APACHE reads", "AUROC", "patient"),
    "nafld": ("NAFLD, death within five years", "AUROC", "patient"),
}
"""Title, number and example of each task, in the order of the page."""
PUBLISHED = {
    "eeg-segment": "73.6 % by recording (patch transformer, Bonn); 85.3 % by row, where both sets "
    "hold seconds of one recording ([arXiv 1904.13216](https://arxiv.org/abs/1904.13216)); none by "
    "session",
    "eeg-recording": "87.0 % by recording (forest on pooled features, Bonn); none by session",
    "physionet2012": "0.872, average precision 0.554 (DuETT, "
    "[arXiv 2304.13017](https://arxiv.org/abs/2304.13017); trained on about 8,000 of 12,000 stays, "
    "other test stays); event 1 of the challenge 0.535",
    "eicu": "none on these stays",
    "eicu-apache": "0.88 (APACHE IV on its own cohort of 110,558 stays, Zimmerman et al. 2006)",
    "nafld": "none for this question",
}
"""The best published figure of each task known to us, and its conditions."""
CURVES = {
    "bonn": "EEG, one segment, by session",
    "physionet2012": "PhysioNet 2012, death in the stay at 48 hours",
}
"""What a learning curve is of."""


def read(name: str = "summary.json") -> dict[str, Any]:
    """What a benchmark wrote; nothing if it did not."""
    path = HERE / name
    found: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def value_of(entry: Mapping[str, Any]) -> float:
    """The test-set number of a model."""
    return float(entry["auroc"] if "auroc" in entry else entry["accuracy"])


def figure(task: str, models: Mapping[str, Any]) -> Figure | None:
    """Accuracy against operations, of the models whose operations are counted."""
    _, measure, example = TITLES[task]
    rows = [
        {
            "model": name,
            "operations": entry["operations"],
            "accuracy": value_of(entry),
            "low": entry["ci"][0],
            "high": entry["ci"][1],
        }
        for name, entry in models.items()
        if entry["operations"]
    ]
    if len(rows) < 2:
        return None
    return accuracy_against_operations(rows, number=measure, example=example)


def table(task: str, models: Mapping[str, Any]) -> list[str]:
    """A row for each model, the best first."""
    measure = TITLES[task][1]
    form = ".3f" if measure == "AUROC" else ".1%"
    columns = "seeds | operations | parameters | training, s a fold | use, µs"
    lines = [
        f"| model | {measure} (95 % interval) | {columns} |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for name, entry in sorted(models.items(), key=lambda pair: -value_of(pair[1])):
        low, high = (number(bound, form) for bound in entry["ci"])
        cells = [
            f"`{name}`",
            f"{number(value_of(entry), form)} ({low} to {high})",
            str(entry["seeds"]),
            _count(entry["operations"]),
            _count(entry["parameters"]),
            number(entry["train_seconds"], ".1f"),
            number(entry["inference_us"], ".0f"),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def against(found: Mapping[str, Any], summary: Mapping[str, Any]) -> list[str]:
    """The network of each task next to published figures, and minus a published system."""
    how = (
        "The last column is the network minus other systems that were trained on the same folds, "
        "paired. Published figures are from other splits, and mostly other test examples: they "
        "show the order of size, not who is better."
    )
    columns = "best published figure, its conditions | minus systems that run here (95 % interval)"
    lines = ["## Next to published figures", "", how, ""]
    lines += [
        f"| task | network | its number (95 % interval) | {columns} |",
        "|---|---|---|---|---|",
    ]
    for task, one in found.items():
        form = ".3f" if TITLES[task][1] == "AUROC" else ".1%"
        entry = summary[task][one["network"]]
        low, high = (number(bound, form) for bound in entry["ci"])
        its = f"{number(value_of(entry), form)} ({low} to {high})"
        if "event_1" in one:
            more = number(one["average_precision"], ".3f"), number(one["event_1"], ".3f")
            its += f"; average precision {more[0]}, event 1 {more[1]}"
        scale, places = (1, ".3f") if form == ".3f" else (100, ".1f")
        unit, differences = "" if scale == 1 else " points", []
        for system, paired in one["systems"].items():
            apart, low, high = (
                number(scale * value, f"+{places}")
                for value in (paired["difference"], *paired["ci"])
            )
            differences.append(f"`{system}`: {apart}{unit} ({low} to {high})")
        cells = [
            TITLES[task][0],
            f"`{one['network']}`",
            its,
            PUBLISHED[task],
            "; ".join(differences),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    note = (
        "Event 1 of the challenge of 2012 is the smaller of sensitivity and precision, here at the "
        "threshold that is best on the validation set."
    )
    return [*lines, "", note, ""]


def _count(value: int | None) -> str:
    return number(value, ",.0f")


def curves(found: Mapping[str, Any]) -> list[str]:
    """What more recordings or patients are worth, as ``learning_curve.py`` found it."""
    lines = ["## More to learn from", ""]
    for task, models in found.items():
        first = next(iter(models.values()))
        unit, metric = (key for key in first[0] if key != "ci")
        form = ".1%" if metric == "accuracy" else ".3f"
        sizes = " | ".join(str(point[unit]) for point in first)
        lines += [
            f"| {CURVES[task]}; {unit} to learn from: | {sizes} |",
            "|---|" + "---|" * len(first),
        ]
        for model, points in models.items():
            cells = [
                f"{number(point[metric], form)} ({number(point['ci'][0], form)} to "
                f"{number(point['ci'][1], form)})"
                for point in points
            ]
            lines.append(f"| `{model}` | {' | '.join(cells)} |")
        lines.append("")
    return lines


def content(summary: Mapping[str, Any]) -> str:
    """What stands between the marks of the page."""
    made = summary["made"]
    lines = [f"Measured on {made['date']}, {made['machine']}, at commit `{made['commit']}`.", ""]
    lines += against(summary.get("against", {}), summary)
    for task, (title, _, _) in TITLES.items():
        if task not in summary:
            continue
        lines += [f"## {title}", "", *table(task, summary[task]), ""]
        if drawn := figure(task, summary[task]):
            lines += [f"![{drawn.alt}](../pictures/accuracy-{task}.svg)", ""]
    if found := read("learning_curve.json"):
        lines += curves(found)
    return "\n".join(lines)


def main() -> None:
    summary = read()
    for task in TITLES:
        if drawn := figure(task, summary.get(task, {})):
            drawn.save(PICTURES / f"accuracy-{task}.svg")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    text = f"{before}{BEGIN}\n\n{content(summary)}\n{END}{after}"
    PAGE.write_text(text, encoding="utf-8")
    print(f"written: {PAGE}")


if __name__ == "__main__":
    main()
