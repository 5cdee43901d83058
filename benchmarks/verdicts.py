"""How stable the verdicts are: the studies run again with other seeds of the split and the weights.

Only the models that claims are about are trained, on the study's own question and split. Each rerun
lies in a folder of its own, so that an interrupted benchmark goes on where it was.

Run: ``python benchmarks/verdicts.py --out reruns --seeds 5``, and with ``--write`` to store the
answers in the package: the page tells of each verdict in how many reruns it was the same. Two such
files of two machines are compared by ``--against FILE``.
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
from itertools import combinations, product
from pathlib import Path
from typing import Any

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
    judge_study,
    tally,
)
from sequela.version import __version__

HERE = Path(str(files("sequela.studies"))) / "declared" / RERUNS
Reruns = Mapping[str, Any]
KINDS = {"verdict": {HOLDS, FAILS}, "interval_verdict": {SUPPORTED, CONTRADICTED}}
"""What is counted of each claim, and which two answers contradict each other."""


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
    """The verdicts of each study with each seed."""
    found: dict[str, Any] = {}
    for seed in seeds:
        for name in names:
            runs = reproduce(out / f"{name}-{seed}", studies=[name], seed=seed, processes=processes)
            study = STUDIES[name]
            cohorts = list(cohorts_of(study, runs).values())
            answers = judge_study(study, cohorts)
            data = runs[0].data
            kept = found.setdefault(name, {each: data[each] for each in SAME_DATA})
            for each in answers:
                for kind in KINDS:
                    of_claim = kept.setdefault(f"{kind}s", {}).setdefault(each.claim.id, [])
                    of_claim.append(getattr(each, kind))
            said = tally(answers)
            print(f"{name}, seed {seed}: {said}", flush=True)
            for each in answers:
                print(f"    {each.claim.id}: {each.verdict}. {each.why}")
    return {
        "version": __version__,
        "date": date.today().isoformat(),
        "machine": f"{platform.machine()} {platform.system()}",
        "seeds": list(seeds),
        "studies": found,
    }


def say(reruns: Reruns) -> None:
    """How often two reruns agree."""
    for (name, study), (kind, ends) in product(reruns["studies"].items(), KINDS.items()):
        of_claims = study[f"{kind}s"]
        pairs = [pair for answers in of_claims.values() for pair in combinations(answers, 2)]
        same = sum(one == other for one, other in pairs)
        opposite = sum({one, other} == ends for one, other in pairs)
        print(
            f"{name}, {kind}: {same} of {len(pairs)} pairs agree ({same / len(pairs):.1%}); "
            f"{opposite} are between {' and '.join(sorted(ends))}"
        )
        for claim, answers in of_claims.items():
            if len(set(answers)) > 1:
                print(f"    {claim}: {', '.join(f'{n} {v}' for v, n in Counter(answers).items())}")


def against(ours: Reruns, theirs: Reruns) -> None:
    """Which verdicts another machine has with the same seed."""
    for name, study in ours["studies"].items():
        for claim, answers in study["verdicts"].items():
            others = theirs["studies"][name]["verdicts"][claim]
            for seed, (one, other) in enumerate(zip(answers, others, strict=True)):
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
