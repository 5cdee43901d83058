"""Plant known leaks into copies of the data in the package, and print which are detected.

python -m benchmarks.attacks [--json]
"""

import argparse
import json

from benchmarks.attacks.harness import attack_all


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks.attacks", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    as_json, results = parser.parse_args().json, []
    for result in attack_all():
        results.append(result.to_dict())
        if not as_json:
            print(f"{result.verdict:12}{result.attack}: {result.by}", flush=True)
    if as_json:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
