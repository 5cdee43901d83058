"""The report's eight models, layer by layer, against a table that was counted elsewhere."""

from itertools import product

import pytest
from tests.cost.tally import counted

from sequela.cost.network import count, registered
from sequela.cost.record import from_json, to_json

# Parameters, MACs and operations of each layer; visits at 20 visits of one patient, 911 codes.
LAYERS = {
    "mlp-baseline": {"fc1": (2864, 2848, 5696), "sig": (0, 0, 64), "fc2": (85, 80, 160)},
    "mlp-improved": {
        "fc1": (45824, 45568, 91136),
        "r1": (0, 0, 256),
        "fc2": (65792, 65536, 131072),
        "r2": (0, 0, 256),
        "fc3": (65792, 65536, 131072),
        "r3": (0, 0, 256),
        "fc4": (65792, 65536, 131072),
        "r4": (0, 0, 256),
        "out": (1285, 1280, 2560),
    },
    "cnn-baseline": {
        "conv1": (36, 5220, 10440),
        "r1": (0, 0, 1044),
        "p1": (0, 0, 522),
        "conv2": (496, 39840, 79680),
        "r2": (0, 0, 1328),
        "p2": (0, 0, 656),
        "fc1": (84096, 83968, 167936),
        "r3": (0, 0, 128),
        "fc2": (645, 640, 1280),
    },
    "cnn-improved": {
        "conv1": (36, 5220, 10440),
        "r1": (0, 0, 1044),
        "p1": (0, 0, 522),
        "conv2": (496, 39840, 79680),
        "r2": (0, 0, 1328),
        "p2": (0, 0, 656),
        "fc1": (84096, 83968, 167936),
        "r3": (0, 0, 128),
        "fc2": (8256, 8192, 16384),
        "r4": (0, 0, 64),
        "fc3": (325, 320, 640),
    },
    "gru-baseline": {"gru": (912, 145248, 353152), "fc": (85, 80, 160)},
    "gru-improved": {
        "gru.l0": (3360, 563904, 1253120),
        "gru.l1": (6336, 1093632, 2312576),
        "fc1": (528, 512, 1024),
        "r": (0, 0, 16),
        "fc2": (85, 80, 160),
    },
    "visits-baseline": {
        "fc1": (29184, 583040, 1166080),
        "gru": (2400, 46080, 99200),
        "fc2": (34, 32, 64),
    },
    "visits-improved": {
        "fc1": (58368, 1166080, 2332160),
        "lstm.l0": (5248, 102400, 215040),
        "lstm.l1": (2176, 40960, 92160),
        "fc2": (136, 128, 256),
        "r": (0, 0, 8),
        "fc3": (18, 16, 32),
    },
}

# Of batches (lengths, slots): useful operations and MACs, executed operations and MACs.
BATCHES = {
    "visits-baseline": {
        ((10,), 20): (632704, 314592, 1215744, 606112),
        (tuple(range(1, 21)), 20): (13286720, 6606400, 24364480, 12145280),
    },
    "visits-improved": {
        ((10,), 20): (1319976, 654864, 2486056, 1237904),
        (tuple(range(1, 21)), 20): (27719200, 13752000, 49874720, 24829760),
    },
}

# The report's own lines: parameters and operations of each layer that it counts.
REPORT = {
    "mlp-baseline": ([2864, 0, 85], [5696, 64, 160]),
    "cnn-baseline": (
        [30, 0, 0, 80, 0, 0, 84096, 0, 645],
        [9396, 1044, 522, 11952, 1328, 656, 167936, 128, 1280],
    ),
    "gru-baseline": ([864, 85], [344608, 160]),
}


def totals(name: str) -> tuple[int, ...]:
    """Sum the parameters, MACs and operations of the layers of a model."""
    return tuple(map(sum, zip(*LAYERS[name].values(), strict=True)))


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_counted_exactly(name: str) -> None:
    account = counted(name)
    assert {
        layer.name: (layer.parameters, layer.macs, layer.operations) for layer in account.layers
    } == LAYERS[name]
    assert (account.parameters, account.macs, account.operations) == totals(name)
    assert not account.unknown


@pytest.mark.parametrize("name", BATCHES)
def test_padding_is_executed_and_not_useful(name: str) -> None:
    for (lengths, slots), expected in BATCHES[name].items():
        account = count(registered(name, lengths=lengths, slots=slots))
        useful, executed = account.useful, account.executed
        found = (useful.operations, useful.macs, executed.operations, executed.macs)
        assert found == expected


def test_a_multi_hot_linear_is_also_counted_as_the_sum_that_is_executed() -> None:
    account = count(registered("visits-baseline", lengths=[3, 1], codes=5))
    # 4 visits of 5 codes: 4 additions of rows of 32 and one of the bias; GRU and Linear as ever.
    assert account.embedding_sum is not None
    assert account.embedding_sum.operations == 4 * 5 * 32 + 4 * 4960 + 2 * 64
    assert account.embedding_sum.macs == 4 * 3 * 16 * (32 + 16) + 2 * 32
    assert account.useful.operations == 4 * 2 * 911 * 32 + 4 * 4960 + 2 * 64


@pytest.mark.parametrize("name", REPORT)
def test_the_report_is_reproduced_part_by_part(name: str) -> None:
    account = counted(name, "report-2019")
    assert [layer.parameters for layer in account.layers] == REPORT[name][0]
    assert [layer.operations for layer in account.layers] == REPORT[name][1]
    in_all = tuple(map(sum, REPORT[name]))
    assert (account.parameters, account.operations) == in_all
    report = counted(name).report
    assert report is not None
    assert (report.parameters, report.operations) == in_all


def test_each_part_of_the_reports_step_of_a_gru() -> None:
    (gru, _) = counted("gru-baseline", "report-2019").layers
    (work,) = gru.work
    parts = [part.cost.operations.value for part in work.parts]
    assert parts == [608, 608, 656, 64]
    assert work.times.value == 178


@pytest.mark.parametrize("name", LAYERS)
def test_the_terms_of_the_difference_add_up(name: str) -> None:
    exact, report = counted(name), counted(name, "report-2019")
    assert report.report is not None
    assert report.report.missing_parameters == exact.parameters - report.parameters
    assert report.report.missing_operations == exact.operations - report.operations


def test_what_the_report_leaves_out() -> None:
    cnn = counted("cnn-baseline").report
    assert cnn is not None
    assert [
        (o.layer, o.parameters.value, o.operations.value, o.operations.text())
        for o in cnn.omissions
    ] == [
        ("conv1", 6, 1044, "C_out·O"),
        ("conv2", 16, 1328, "C_out·O"),
        ("conv2", 400, 66400, "C_out·O·2·(C_in - 1)·K"),
    ]
    assert (cnn.missing_parameters, cnn.missing_operations) == (422, 68772)
    gru = counted("gru-baseline").report
    assert gru is not None
    (bias,) = gru.omissions
    assert bias.parameters.value == 48
    assert bias.operations.value == 48 * 178


def test_an_account_comes_back_from_json() -> None:
    for name, convention in product(LAYERS, ("exact", "report-2019")):
        account = counted(name, convention)
        assert from_json(to_json(account)) == account


def test_json_has_the_promised_keys() -> None:
    values = to_json(counted("cnn-baseline"))
    assert {"model", "convention", "parameters", "operations", "macs", "layers"} <= set(values)
    first = values["layers"][0]
    assert first["name"] == "conv1"
    assert first["kind"] == "Conv1d"
    assert (first["parameters"], first["operations"], first["macs"]) == (36, 10440, 5220)
    assert first["formula"] == "C_out·O·2·C_in·K"
    assert first["substitution"] == "6·174·2·1·5"
