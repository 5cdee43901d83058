"""The counts of every network and baseline model of the package.

The numbers were written before rules that no model needs were retired (decision 41). The report's
eight networks are counted layer by layer in ``test_reference.py``.
"""

from typing import Any

import pytest
from tests.cost.tally import counted

from sequela.cost.ledger import Account
from sequela.cost.network import count, registered
from sequela.cost.references import account_of_unfitted
from sequela.models.inputs import kind_of
from sequela.models.reference import REFERENCE_MODELS
from sequela.models.registry import MODELS

# Parameters, operations and MACs: of the default input; of 64 samples, 2,000 samples of a recording
# or three patients with 1, 2 and 5 visits.
NETWORKS = {
    "mlp-baseline": ((2949, 5920, 2928), (1125, 2272, 1104)),
    "mlp-improved": ((244_485, 487_936, 243_456), (215_301, 429_568, 214_272)),
    "cnn-baseline": ((85_273, 263_014, 129_668), (27_929, 84_380, 41_544)),
    "cnn-improved": ((93_209, 278_822, 137_540), (35_865, 100_188, 49_416)),
    "gru-baseline": ((997, 353_312, 145_328), (997, 127_136, 52_304)),
    "gru-improved": ((10_309, 3_566_896, 1_658_128), (10_309, 1_283_248, 596_560)),
    "visits-baseline": ((31_618, 1_265_344, 629_152), (31_618, 506_304, 251_744)),
    "visits-improved": ((65_946, 2_639_656, 1_309_584), (65_946, 1_056_632, 524_208)),
    "spectral-mlp": ((26_757, 86_750, 26_560), (19_461, 50_264, 19_264)),
    "spectral-mlp-small": ((1349, 9561, 1312), (1349, 4851, 1312)),
    "spectral-mlp-large": ((192_030, 713_099, 190_848), (167_454, 416_390, 166_272)),
    "recording-attention": ((80_313, 2_878_695, 87_946), (80_313, 1_464_507, 83_674)),
    "values-lstm": ((219_593, 931_665, 443_904), (219_593, 1_522_320, 741_568)),
    "visits-attention": ((24_690, 333_796, 163_296), (24_690, 232_201, 110_192)),
}
# The same of baseline models: of the default input; of 64 samples or visits.
BASELINES = {
    "majority-class": ((5, 0, 0), (5, 0, 0)),
    "prevalence": ((2, 0, 0), (2, 0, 0)),
    "logistic-regression": ((895, 2150, 890), (325, 782, 320)),
    "spectral-logistic-regression": ((480, 20_431, 475), (195, 6460, 190)),
    "minirocket": ((49_985, 4_475_832, 49_980), (49_985, 1_526_122, 49_980)),
    "summaries-logistic-regression": ((101, 4065, 100), (101, 9345, 100)),
    "saps-i": ((3, 16, 2), (3, 16, 2)),
    "sofa": ((3, 16, 2), (3, 16, 2)),
    "apache-iva": ((3, 21, 2), (3, 21, 2)),
}


def totals(account: Account) -> tuple[int, int, int]:
    assert not account.unknown
    return account.parameters, account.operations, account.macs


@pytest.mark.parametrize("name", MODELS)
def test_a_network_of_the_package(name: str) -> None:
    shape: dict[str, Any] = {"steps": 2000 if name == "recording-attention" else 64}
    if kind_of(MODELS[name].reads[0]) != "signal":
        shape = {"lengths": (1, 2, 5)}
    found = (totals(counted(name)), totals(count(registered(name, **shape))))
    assert found == NETWORKS[name]


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_model_of_the_package(name: str) -> None:
    accounts = (account_of_unfitted(name, {}, steps, "exact") for steps in (None, 64))
    assert tuple(map(totals, accounts)) == BASELINES[name]


def test_no_baseline_model_is_left_out() -> None:
    depends_on_data = {name for name in REFERENCE_MODELS if name.endswith("boosting")} | {"cox"}
    assert BASELINES.keys() == REFERENCE_MODELS.keys() - depends_on_data
