"""How stable the verdicts are: the studies run again with other seeds of the split and the weights.

Only the models that claims are about are trained, on the study's own question and split. Each rerun
has its own folder, so an interrupted benchmark continues, and finished reruns are judged again.

Run: ``python benchmarks/verdicts.py --out reruns``, and with ``--write`` to store the verdicts in
the package: an answer that fewer than 4 of 5 reruns share is shown as unstable. Two such files of
two machines are compared by ``--against FILE``.
"""

import argparse
import json
import platform
import re
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from importlib.resources import files
from itertools import combinations
from pathlib import Path
from typing import Any

from sequela.evaluation.metrics import headline
from sequela.studies.registry import REPORT, STUDIES
from sequela.studies.reproduce import reproduce
from sequela.studies.results import cohorts_of
from sequela.studies.study import Study
from sequela.studies.verdicts import (
    CONTRADICTED,
    FAILS,
    HOLDS,
    RERUNS,
    SAME_DATA,
    SUPPORTED,
    answer_of,
    judge_study,
    tally,
)
from sequela.version import __version__

HERE = Path(str(files("sequela.studies"))) / "declared" / RERUNS
Reruns = Mapping[str, Any]
OPPOSITE = ({HOLDS, FAILS}, {SUPPORTED, CONTRADICTED})


def only_claims(study: Study) -> Study:
    """The study without what no claim needs."""
    models = {model for claim in study.claims for model in claim.models}
    (question, _), *_ = study.primary[-1:]
    return replace(
        study,
        splits=study.splits[:1],
        cohorts=(question,) if study.cohorts else (),
        training={name: how for name, how in study.training.items() if name in models},
        reference_models=(),
        controls={},
        default=False,
    )


def rerun(names: list[str], out: Path, seeds: range, processes: int | None) -> Reruns:
    """The verdicts of each study with each seed, and the scores of the models."""
    found: dict[str, Any] = {}
    for seed in seeds:
        for name in names:
            runs = reproduce(out / f"{name}-{seed}", studies=[name], seed=seed, processes=processes)
            study = STUDIES[name]
            cohorts = list(cohorts_of(study, runs).values())
            verdicts = judge_study(study, cohorts, with_reruns=False)
            data = runs[0].data
            record = found.setdefault(name, {key: data[key] for key in SAME_DATA})
            for run in runs:
                scores = record.setdefault("scores", {}).setdefault(run.settings.model, [])
                scores.append(round(run.test[headline(run.data.classes, run.test).key], 3))
            print(f"{name}, seed {seed}: {tally(verdicts)}", flush=True)
            for verdict in verdicts:
                of_claim = record.setdefault("verdicts", {}).setdefault(verdict.claim.id, [])
                of_claim.append(verdict.verdict)
                print(f"    {verdict.claim.id}: {verdict.verdict}. {verdict.why}")
    return {
        "version": __version__,
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()} {platform.system()}",
        "seeds": list(seeds),
        "studies": found,
    }


def say(reruns: Reruns) -> None:
    """How often two reruns have the same answer, or both have none."""
    for name, study in reruns["studies"].items():
        pairs = [
            tuple(map(answer_of, pair))
            for verdicts in study["verdicts"].values()
            for pair in combinations(verdicts, 2)
        ]
        same = sum(one == other for one, other in pairs)
        opposite = sum(set(pair) in OPPOSITE for pair in pairs)
        print(
            f"{name}: {same} of {len(pairs)} pairs of reruns agree ({same / len(pairs):.1%}); "
            f"{opposite} have opposite answers"
        )
        for claim, verdicts in study["verdicts"].items():
            counts = Counter(verdicts)
            if len(counts) > 1:
                print(f"    {claim}: {', '.join(f'{n} {v}' for v, n in counts.items())}")


def against(ours: Reruns, theirs: Reruns) -> None:
    """Which verdicts another machine has with the same seed."""
    for name, study in ours["studies"].items():
        for claim, answers in study["verdicts"].items():
            others = theirs["studies"][name]["verdicts"][claim]
            for seed, one, other in zip(ours["seeds"], answers, others, strict=True):
                if one != other:
                    print(f"{name}, seed {seed}, {claim}: {one} here, {other} there")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--first-seed", type=int, default=10)
    parser.add_argument("--processes", type=int, help="default: one a core")
    parser.add_argument("--studies", nargs="+", default=list(REPORT))
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--against", type=Path)
    said = parser.parse_args()
    for name in said.studies:
        STUDIES[name] = only_claims(STUDIES[name])
    seeds = range(said.first_seed, said.first_seed + said.seeds)
    found = rerun(said.studies, said.out, seeds, said.processes)
    say(found)
    if said.against:
        against(found, json.loads(said.against.read_text(encoding="utf-8")))
    if said.write:
        before = json.loads(HERE.read_text(encoding="utf-8"))
        if before["version"] == __version__:  # verdicts of a study that was not run again
            found = {**found, "studies": before["studies"] | found["studies"]}
        text = re.sub(r"\[[^]]*\]", lambda a: " ".join(a[0].split()), json.dumps(found, indent=1))
        HERE.write_text(text + "\n", encoding="utf-8")  # a claim a line
        print(f"written to {HERE}", file=sys.stderr)


if __name__ == "__main__":
    main()
