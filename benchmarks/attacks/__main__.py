"""Plant known leaks into copies of the data in the package, and print which are detected.

python -m benchmarks.attacks [--json]

The last line counts them: leaks that are stopped, and false alarms.
"""

import argparse
import json

from benchmarks.attacks.harness import attack_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.attacks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json, results = parser.parse_args().json, []
    for result in attack_all():
        results.append(result)
        if not as_json:
            print(f"{result.verdict:12}{result.attack}: {result.by}", flush=True)
    if as_json:
        print(json.dumps([each.to_dict() for each in results], indent=1))
        return
    honest = [each for each in results if each.verdict in {"clean", "false alarm"}]
    planted, alarms = len(results) - len(honest), sum(e.verdict != "clean" for e in honest)
    stopped = sum(each.stopped for each in results)
    print(f"stopped: {stopped} of {planted} leaks; false alarms: {alarms} of {len(honest)}")


if __name__ == "__main__":
    main()
