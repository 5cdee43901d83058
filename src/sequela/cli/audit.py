"""``sequela audit``: leak detection in the data of a run."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter


def audit(
    run: Path | None = None,
    /,
    *,
    root: Path | None = None,
    attack: Annotated[bool, Parameter(negative=())] = False,
    json: Annotated[bool, Parameter(negative=())] = False,
) -> int:
    """Audit the data of a finished run for leaks again, or test the audit with planted leaks.

    Reads the data of the run. The exit status is 0 if nothing is found, 3 for a leak, and 4 for
    suspicions only, which a person has to check. With --attack, plants known leaks into copies of
    the data that ship with the package and prints which of them are detected.

    Example: `sequela audit runs/visits-improved`, or `sequela audit --attack`

    Args:
        run: Run folder, or folder of a cross-validation.
        root: Folder or file of the data (default: the usual search path).
        attack: Plant leaks and print which are found, blocked or missed; takes no RUN.
        json: Print JSON.
    """
    from json import dumps

    from sequela.errors import SettingError
    from sequela.runs.audited import audit_run

    if (run is None) != attack:
        raise SettingError("name one run folder, or use --attack without a run folder")
    if run is None:
        return _attack(json=json)
    audited = audit_run(run, root)
    if json:
        print(dumps(audited.to_dict(), indent=1))
        return audited.status
    print(f"{run}: data: {audited.origin}")
    for found in audited.findings:
        print(f"{found.severity.upper()}: {found.what} ({found.where}); {found.remedy}")
    if audited.planned:
        print("leaks by design")
    if not audited.findings:
        print(f"nothing found; checked for: {audited.looked_for}")
    return audited.status


def _attack(*, json: bool) -> int:
    """Print the result of each attack as soon as it is known."""
    from json import dumps

    from sequela.attacks.harness import attack_all

    results = []
    for result in attack_all():
        results.append(result)
        if not json:
            print(f"{result.verdict:12}{result.attack}: {result.by}", flush=True)
    if json:
        print(dumps([result.to_dict() for result in results], indent=1))
    return 0
