"""Compare the audit with icu-leakage-check and leakfence, on their planted leaks and on ours.

python -m benchmarks.attacks.others PYTHON [--all]: PYTHON is that of an environment with
icu-leakage-check, leakfence and pyarrow. Prints tables in Markdown: which tool reports each planted
leak, of what it can be given, and the number of clean inputs on which it reports something.
auditeeg 0.0.1 has statistics of pairs of scores, and no check of data. ``--all`` also lists ours.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd  # type: ignore[import-untyped]
from benchmarks.attacks import foreign
from benchmarks.attacks.foreign import LABS, Given

from sequela.files import temporary

TOOLS = ("icu-leakage-check", "leakfence")
HOUR = 1440.0
"""Minutes after which the demonstration of icu-leakage-check predicts."""


@dataclass(frozen=True)
class Case:
    """What each tool is given.

    Attributes:
        name: In words.
        given: What the audit of Sequela is given.
        clean: Name of the case in which nothing is planted; of a clean case its own.
        table: What icu-leakage-check is given, with ``icu``: its options.
        events: Its log of the events of each feature.
        fit: Preprocessing: its name, the table before it, and the rows that it is fitted on.
        arrays: What leakfence is given: x, train, test, subject, session, recording, ranges.
        paradigm: Its name for what must stay apart.
    """

    name: str
    given: Given
    clean: str
    table: pd.DataFrame | None = None
    icu: Mapping[str, Any] = field(default_factory=dict)
    events: pd.DataFrame | None = None
    fit: tuple[str, pd.DataFrame, Any] | None = None
    arrays: Mapping[str, Any] | None = None
    paradigm: str | None = None


def of_icu(folder: Path) -> Iterator[Case]:  # noqa: PLR0915
    """Yield one case for each of the 19 mechanisms of icu-leakage-check, on its own data.

    The leaks are planted as in its tests. Times are minutes from the admission.
    """
    stays, log = (pd.read_parquet(folder / f"{name}.parquet") for name in ("stays", "events"))
    rng, n = np.random.default_rng(0), len(stays)
    early = log[(log.available_time <= HOUR) & ~(log.end_time > HOUR)]
    last = early.sort_values("event_time").pivot_table(
        index="entity_id", columns="variable", values="value", aggfunc="last"
    )
    last = last[["lactate", "creatinine", "potassium", "wbc"]]
    stays = stays.merge(last, left_on="patientunitstayid", right_index=True, how="left")
    people = stays.uniquepid.unique()
    test = stays.uniquepid.isin(rng.choice(people, len(people) // 4, replace=False))
    stays = stays.assign(split=np.where(test, "test", "train"))
    stays = stays.drop(columns="unitdischargeoffset").assign(late=log.event_time.max())
    discharge = pd.read_parquet(folder / "stays.parquet").unitdischargeoffset
    stays = stays.drop(columns="late")
    features = ["age", "gcs", "vent_day1", *last]
    died, second = stays.died == 1, rng.random(n)
    ids = {"group": ["uniquepid"], "label": "died", "time": "index_offset"}

    def case(
        name: str, frame: pd.DataFrame, more: Any = (), clean: str = "icu: nothing", **of: Any
    ) -> Case:
        given, icu = {**ids, **of.pop("sequela", {})}, of.pop("icu", {})
        columns = [*features, *more]
        usual = {"label": "died", "split": "split", "dataset": "eicu",
                 "index_time": "index_offset", "outcome_time": "death_offset",
                 "feature_columns": columns}  # fmt: skip
        return Case(f"icu: {name}", Given(frame, given), clean, frame, usual | icu, **of)

    yield case("nothing", stays)
    yield case("ENTITY_OVERLAP", stays.assign(split=np.where(second < 0.25, "test", "train")))
    copies = stays[~test].sample(60, random_state=0)
    copies = copies.assign(
        split="test", uniquepid=copies.uniquepid + "x",
        patientunitstayid=copies.patientunitstayid + 10**7,
        patienthealthsystemstayid=copies.patienthealthsystemstayid + 10**7,
    )  # fmt: skip
    yield case("DUPLICATE_RECORD", pd.concat([stays, copies], ignore_index=True))
    sites: dict[str, Any] = {
        "icu": {"split_strategy": "site"},
        "sequela": {"group": ["uniquepid", "hospitalid"]},
    }
    yield case("SITE_OVERLAP", stays, **sites)
    once = stays.drop_duplicates("uniquepid", ignore_index=True).drop(columns="death_offset")
    year = "hospitaldischargeyear"
    strategy = {"split_strategy": "temporal", "calendar_time": year, "outcome_time": None}
    years: dict[str, Any] = {"icu": strategy, "sequela": {"time": year}}
    timely = once.assign(split=np.where(once.hospitaldischargeyear == 2015, "test", "train"))
    yield case("by year", timely, clean="icu: by year", **years)
    late = timely.index[timely.split == "test"][:20]
    mixed = timely.assign(split=timely.split.where(~timely.index.isin(late), "train"))
    yield case("SPLIT_ORDER", mixed, clean="icu: by year", **years)
    joined = stays[["patientunitstayid", "uniquepid", "died", "index_offset"]]

    def dated(name: str, events: pd.DataFrame) -> Case:
        rows = events.merge(joined, left_on="entity_id", right_on="patientunitstayid")
        rows = rows.drop(columns="patientunitstayid").dropna(axis=1, how="all")
        found = case(name, stays, events=events, clean="icu: early events")
        return replace(found, given=Given(rows, ids))

    yield dated("early events", early)
    no_lag = log.assign(available_time=log.event_time)
    yield dated("FUTURE_EVENT", no_lag[~(no_lag.end_time > HOUR)])
    yield dated("AVAILABILITY_LAG", log[(log.event_time <= HOUR) & ~(log.end_time > HOUR)])
    yield dated("INTERVAL_CROSSING", log[log.available_time <= HOUR])
    undated = early[early.variable == "wbc"].assign(
        variable="diagnosis", event_time=np.nan, available_time=np.nan)  # fmt: skip
    yield dated("UNDATED_SOURCE", pd.concat([early, undated]))
    yield case(
        "HINDSIGHT_VARIABLE", stays.assign(unitdischargeoffset=discharge), ["unitdischargeoffset"]
    )
    yield case("OUTCOME_ENCODING", stays.assign(diedinhospital=stays.died), ["diedinhospital"])
    words = np.where(second < np.where(died, 0.4, 0.03), "DNR", "Full code")
    yield case("OUTCOME_PROXY", stays.assign(code_status=words), ["code_status"])
    soon = stays.assign(index_offset=360.0)
    first_day = soon.assign(apachescore=50 + 10 * stays.gcs.rsub(15) + rng.integers(0, 30, n))
    yield case("FIRST_DAY_SUMMARY", first_day, ["apachescore"])
    strong = stays.died * 5 + rng.normal(0, 0.5, n)
    yield case("SINGLE_FEATURE_DOMINANCE", stays.assign(marker=strong), ["marker"])
    weight = np.where(died, np.nan, rng.normal(80, 9, n))
    yield case("MISSINGNESS_PROXY", stays.assign(weight=weight), ["weight"])
    dead = stays.death_offset.where(~stays.index.isin(stays.index[died][:15]), 600.0)
    yield case("POST_OUTCOME_INSTANCE", stays.assign(death_offset=dead))
    eligible = np.where(np.arange(n) < 30, 2 * HOUR, 0.0)
    yield case("COHORT_FUTURE_INFORMATION", stays.assign(eligible_offset=eligible),
               icu={"eligibility_time": "eligible_offset"})  # fmt: skip
    whole = stays.fillna({name: stays.loc[~test, name].median() for name in features})
    numbers = ["age", "creatinine", "lactate", "potassium", "wbc"]
    for name, rows in (("scaled by training", ~test), ("PREPROCESSING_FIT", test | ~test)):
        of = whole.loc[rows, numbers]
        frame = whole.assign(**((whole[numbers] - of.mean()) / of.std(ddof=0)))
        fit = ("StandardScaler", whole[numbers], np.flatnonzero(rows))
        found = case(name, frame, clean="icu: scaled by training", fit=fit)
        yield replace(found, table=whole)
    for name, of_part in (
        ("oversampled in training", ["train"]),
        ("SYNTHETIC_IN_EVALUATION", ["train", "test"]),
    ):
        rare = whole[died & whole.split.isin(of_part)]
        scaled = (rare[features] / whole[features].std()).to_numpy()
        near = np.argsort(((scaled[:, None] - scaled) ** 2).sum(2), axis=1)[:, 1:6]
        one = rng.integers(0, len(rare), 900)
        other = near[one, rng.integers(0, 5, 900)]
        values = rare[features].to_numpy()
        made = pd.DataFrame(
            values[one] + rng.random((900, 1)) * (values[other] - values[one]), columns=features
        )
        made = made.assign(died=1, split="train")
        both = pd.concat([whole[[*features, "died", "split"]], made], ignore_index=True)
        if len(of_part) > 1:
            both["split"] = np.where(
                np.random.default_rng(1).random(len(both)) < 0.25, "test", "train"
            )
        found = case(name, both, clean="icu: oversampled in training",
                     icu={"index_time": None, "outcome_time": None})  # fmt: skip
        yield replace(found, given=Given(both, {"label": "died"}))
    score = np.clip(stays.died * 0.3 + rng.uniform(0, 0.7, n), 0, 1)
    for name, threshold in (("a threshold of 0.5", 0.5), ("EVALUATION_REUSE", None)):
        t = threshold or youden(stays.died[test].to_numpy(), score[test].to_numpy())
        found = case(name, stays.assign(score=score), clean="icu: a threshold of 0.5",
                     icu={"scores": "score", "threshold": t})  # fmt: skip
        part = pd.DataFrame({"score": score, "died": stays.died, "split": stays.split})
        yield replace(found, given=Given(part, {"label": "died"}, {"threshold": t}))


def youden(label: Any, score: Any) -> float:
    """Return the threshold with the highest sum of sensitivity and specificity."""
    from sklearn.metrics import roc_curve

    fpr, tpr, thresholds = roc_curve(label, score)
    return float(thresholds[np.argmax(tpr - fpr)])


def of_fence() -> Iterator[Case]:
    """Yield cases as leakfence plants leaks in its tests: windows of subjects, in a split."""
    rng, rows, signals = np.random.default_rng(0), [], []
    for subject in range(8):
        for session in range(2):
            signal = np.cumsum(rng.standard_normal((2, 96 * 20)), axis=1)
            for start in range(0, 96 * 20 - 127, 32):
                signals.append(signal[:, start : start + 128])
                rows.append((subject, session, start))
    x = np.stack(signals).astype(np.float32)
    subject, session, start = np.array(rows).T
    recording = subject * 2 + session
    far = start % 128 == 0  # windows that share no samples
    everybody = np.arange(len(x))
    shuffled = rng.permutation(len(x))

    def case(name: str, train: Any, test: Any, clean: str = "leakfence: nothing",
             unit: str = "subject", x: Any = x, **of: Any) -> Case:  # fmt: skip
        groups = subject if unit == "subject" else recording
        given = Given(
            x, {"y": subject % 2, "splits": [train, test]} | ({"groups": groups} if unit else {})
        )
        arrays = {"x": x.reshape(len(x), -1), "train": train, "test": test, "recording": recording}
        arrays |= {"ranges": np.stack([start, start + 128], axis=1)}
        arrays |= {"subject": subject, "session": session} if unit else {}
        paradigm = {"subject": "cross-subject", "session": "cross-session"}.get(unit)
        return Case(f"leakfence: {name}", given, clean, arrays=arrays, paradigm=paradigm, **of)

    held = subject >= 6
    train, test = everybody[~held], everybody[held]
    yield case("nothing", train, test)
    yield case("one subject in both parts", everybody[session == 0], everybody[session == 1])
    mixed = (session == 1) ^ (far & (start == 0))
    yield case("one session in both parts", everybody[~mixed], everybody[mixed],
               "leakfence: sessions apart", unit="session")  # fmt: skip
    yield case("sessions apart", everybody[session == 0], everybody[session == 1],
               "leakfence: sessions apart", unit="session")  # fmt: skip
    yield case("windows that overlap, ids not given", shuffled[: len(x) // 2],
               shuffled[len(x) // 2 :], unit="")  # fmt: skip
    yield case("one row in both parts", np.append(train, test[:5]), test)
    copied = x.copy()
    copied[test[:10]] = x[train[:10]]
    yield case("windows copied into the other part", train, test, x=copied)
    flat = pd.DataFrame(x.mean(2)).add_prefix("mean ")
    for name, of, clean in (
        ("scaled by training", train, "leakfence: scaled by training"),
        ("scaled by all windows", everybody, "leakfence: scaled by training"),
        ("scaled by as many windows, some of the test set", np.append(train[5:], test[:5]),
         "leakfence: scaled by training"),
    ):  # fmt: skip
        scaled = (x - x[of].mean((0, 2), keepdims=True)) / x[of].std((0, 2), keepdims=True)
        yield case(name, train, test, clean, x=scaled, fit=("StandardScaler", flat, of))


SCALERS = {"scaled": "StandardScaler", "scaled by training": "StandardScaler",
           "ranged": "MinMaxScaler", "ranged by training": "MinMaxScaler",
           "mean": "SimpleImputer mean", "mean of training": "SimpleImputer mean",
           "median": "SimpleImputer median",
           "median of training": "SimpleImputer median"}  # fmt: skip
"""The preprocessing that the other tools are given as an object."""


def of_ours() -> Iterator[Case]:
    """Yield our planted leaks and clean inputs, in the forms that the other tools read."""
    for name, (make, planted) in foreign.CASES.items():
        given, kind = make(), name.partition(":")[0]
        clean = (
            name
            if not planted
            else f"{kind}: {'split by recording' if kind == 'windows' else 'nothing'}"
        )
        case = Case(f"ours: {name}", given, f"ours: {clean}")
        if isinstance(given.data, pd.DataFrame):
            yield _of_table(case, name.partition(": ")[2]) if "label" in given.data else case
        else:
            yield _of_windows(case) if given.data.ndim > 2 else case


def _of_table(case: Case, name: str) -> Case:
    """Give the others the columns by their roles, and preprocessing as a fitted object."""
    frame, roles = case.given.data, {
        "label": "label", "split": "split", "patient_id": "patient_id", "scores": "prob",
        "index_time": "prediction_time", "outcome_time": "death_time",
    }  # fmt: skip
    if name in SCALERS:
        raw, holes = foreign.table(), np.random.default_rng(1).random((foreign.ROWS, len(LABS)))
        if SCALERS[name].startswith("SimpleImputer"):
            raw[LABS] = raw[LABS].mask(holes < 0.1)
        rows = np.flatnonzero((raw.split == "train") | ("training" not in name))
        case, frame = replace(case, fit=(SCALERS[name], raw[LABS], rows)), raw
    icu: dict[str, Any] = {role: column for role, column in roles.items() if column in frame}
    if name.startswith("by time"):
        icu |= {"split_strategy": "temporal", "calendar_time": "prediction_time"}
    if "taken" in frame:
        frame = frame.assign(row=range(len(frame)))
        log = {"entity_id": frame.row, "variable": "lab0", "end_time": pd.NaT}
        log |= dict.fromkeys(("event_time", "available_time"), frame.taken)
        case, icu["stay_id"] = replace(case, events=pd.DataFrame(log)), "row"
    case = replace(case, table=frame, icu={**icu, "threshold": case.given.stated.get("threshold")})
    if "split" not in frame or "prob" in frame:
        return case
    known = frame.columns[[d.kind in "fib" for d in frame.dtypes]].drop(
        ["label", "patient_id"], errors="ignore"
    )
    parts = {part: np.flatnonzero(frame.split == part) for part in ("train", "test")}
    arrays = {"x": frame[known].to_numpy(float), **parts}
    if "patient_id" not in frame:
        return replace(case, arrays=arrays)
    return replace(case, arrays={**arrays, "subject": frame.patient_id}, paradigm="cross-subject")


def _of_windows(case: Case) -> Case:
    """Give the others the recording and place of each window, and scaling as a fitted object."""
    x, splits = case.given.data, case.given.options["splits"]
    y, groups = case.given.options["y"], case.given.options.get("groups")
    if isinstance(splits, np.ndarray):
        parts = [np.flatnonzero(splits == part) for part in ("train", "test")]
    else:
        parts = [*next(iter(splits.split(x, y, groups) if hasattr(splits, "split") else splits))]
    step = 64 if "half of the samples" in case.name else 128
    of, each = np.arange(len(x)), (128 * 30 - 128) // step + 1
    ranges = np.stack([of % each * step, of % each * step + 128], axis=1)
    arrays = {"x": x.reshape(len(x), -1), "train": parts[0], "test": parts[1]}
    arrays |= {"subject": groups} if "two halves" in case.name else {
        "subject": of // each, "recording": of // each, "ranges": ranges}  # fmt: skip
    if "scaled" in case.name:
        means = pd.DataFrame(x.mean(2)).add_prefix("channel ")
        case = replace(
            case, fit=("StandardScaler", means, parts[0] if "training" in case.name else of)
        )
    return replace(case, arrays=arrays, paradigm="cross-subject")


def ask_others(python: str, folder: Path, cases: list[Case]) -> dict[str, Any]:
    """Write the cases, and return what the other tools report on each."""
    written = []
    for n, case in enumerate(cases):
        entry: dict[str, Any] = {
            "name": case.name,
            "paradigm": case.paradigm,
            "icu": dict(case.icu),
        }
        for what, frame in (("table", case.table), ("events", case.events)):
            if frame is not None:
                frame.to_parquet(folder / f"{n} {what}.parquet")
                entry[what] = f"{n} {what}.parquet"
        if case.fit:
            name, raw, rows = case.fit
            raw.to_parquet(folder / f"{n} raw.parquet")
            entry["fit"] = {"by": name, "raw": f"{n} raw.parquet", "rows": [*map(int, rows)],
                            "columns": [*raw.columns]}  # fmt: skip
        if case.arrays:
            arrays: dict[str, Any] = {k: np.asarray(v) for k, v in case.arrays.items()}
            np.savez(folder / f"{n}.npz", **arrays)
            entry["arrays"] = f"{n}.npz"
        written.append(entry)
    (folder / "cases.json").write_text(json.dumps(written), "utf-8")
    found: dict[str, Any] = json.loads(_run(python, folder))
    return found


def _run(python: str, folder: Path) -> str:
    tools = str(Path(__file__).with_name("other_tools.py"))
    command = [python, "-W", "ignore", tools, str(folder)]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout  # noqa: S603


def main() -> None:
    """Print the tables."""
    with temporary() as folder:
        _run(sys.argv[1], folder)
        cases = [*of_icu(folder), *of_fence(), *of_ours()]
        found = ask_others(sys.argv[1], folder, cases)
        for case in cases:
            outcome = foreign.audit(case.given, folder)
            words = [] if outcome.verdict == "missed" else outcome.by.split(", ")
            found[case.name]["sequela"] = words
    tools = ("sequela", *TOOLS)
    for origin in ("icu", "leakfence", "ours"):
        some = [case for case in cases if case.name.startswith(f"{origin}: ")]
        planted = [case for case in some if case.clean != case.name]
        print(f"\n| {origin} | {' | '.join(tools)} |\n|---|---|---|---|")
        results = {
            c.name: [_words(found[c.name][t], found[c.clean].get(t)) for t in tools]
            for c in planted
        }
        for name, words in results.items() if origin != "ours" or "--all" in sys.argv else ():
            print(f"| {name.partition(': ')[2]} | {' | '.join(words)} |")
        sums = []
        for place, tool in enumerate(tools):
            read = [words[place] for words in results.values() if words[place] != "-"]
            clean = [found[c.name][tool] for c in some if c.clean == c.name]
            clean = [each for each in clean if each is not None]
            right = sum(each != "missed" for each in read)
            sums.append(
                f"{right} of {len(read)}; false alarms: {sum(map(bool, clean))} of {len(clean)}"
            )
        print(f"| **{len(planted)} planted** | {' | '.join(sums)} |")


def _words(found: Any, before: Any) -> str:
    """Return what is reported on a planted leak, and not on the same data without it."""
    if found is None:
        return "-"
    return ", ".join(each for each in found if each not in (before or ())) or "missed"


if __name__ == "__main__":
    main()
