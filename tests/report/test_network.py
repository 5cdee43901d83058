"""A network study: numbers, sentences and refusals, from releases that nobody's patients are in."""

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import expit, logit
from tests.cli.calls import ran, refusal
from tests.network import release_of, results_of

from sequela.analysis.network import NetworkStudy, combine
from sequela.analysis.release import FILE
from sequela.errors import SequelaError
from sequela.evaluation.random_effects import pooled, prior_of
from sequela.report.pages.network_page import build_network, network_text


def sites(folder: Path, *models: dict[str, Any] | None, **how: Any) -> list[Path]:
    """Write the releases of sites, one for each given result of the model."""
    return [
        release_of(folder / f"{place}", f"Site {place:02}", model and {"lstm": model}, **how)
        for place, model in enumerate(models)
    ]


def spread_out(n: int, spread: float = 0.3, **more: Any) -> list[dict[str, Any]]:
    """Return the results of sites with so different AUROCs, and more numbers that rise."""
    rng = np.random.default_rng(n)
    aurocs = expit(1.2 + spread * rng.standard_normal(n)).tolist()
    return [results_of(a, membership=0.5 + k / 100, **more) for k, a in enumerate(aurocs)]


def text_of(network: NetworkStudy, folder: Path) -> str:
    page = build_network(network, folder / "network.html").read_text("utf-8")
    body = page[page.index("<main>") : page.index("</main>")]
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
    assert not re.search(r"\b(nan|None|inf)\b", text)
    return re.sub(r" (?=[.,;:)])", "", text)


def test_three_sites_by_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    results = [results_of(0.70, 0.8, 1.1), results_of(0.80, 1.2, 0.9), results_of(0.78)]
    folders = sites(tmp_path, *results)
    ran("combine", *folders, "--out", tmp_path / "network")
    printed = capsys.readouterr().out
    values, errors = logit([0.70, 0.80, 0.78]), np.full(3, 0.1)
    pool = pooled(values, errors, prior_of("auroc", pooled(values, errors).mean))
    mean, low, high, next_low, next_high = expit(
        [pool.mean, pool.low, pool.high, pool.next_low, pool.next_high]
    )
    assert printed.startswith("LSTM of Lead at 3 sites\n")
    primary = rf"AUROC +with a prior \(primary\) +{mean:.2f} \({low:.2f} to {high:.2f}\) +"
    assert re.search(f"{primary}{next_low:.2f} to {next_high:.2f}\n", printed)
    for measure in ("observed / expected", "calibration slope"):
        assert re.search(rf"{measure} +without a prior +[01]\.\d\d \(", printed)
    assert "slope: no site differs significantly from the others\npage: " in printed
    content = json.loads((tmp_path / "network/network.json").read_text("utf-8"))
    (model,) = content["models"]
    auroc = model["measures"]["auroc"]
    assert auroc["with_prior"]["next_low"] == pytest.approx(next_low)
    assert auroc["with_prior"]["spread"] == pytest.approx(pool.spread)
    others = pooled(values[1:], errors[1:], prior_of("auroc", pooled(values, errors).mean))
    assert auroc["without_site"]["Site 00"]["next_low"] == pytest.approx(expit(others.next_low))
    assert content["releases"][0]["models"]["lstm"]["case_mix"]["sd_logit"] == 1.2
    network = combine(folders)
    text = text_of(network, tmp_path)
    assert "The site that trained the model, Lead, is not among them." in text
    assert f"{next_low:.2f} to {next_high:.2f} AUROC of a next site (95 % prediction" in text
    assert "Not analysed: a regression on the case mix needs 10 sites." in text
    assert "AUROC with a prior (primary)" in text
    # The order in which a user names the sites changes nothing.
    again = combine(folders[::-1])
    assert again.json() == network.json()
    pages = [build_network(n, tmp_path / "a.html").read_bytes() for n in (network, again)]
    assert pages[0] == pages[1]


def test_the_command_prints_the_sites_that_stand_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = sites(tmp_path, *[results_of(0.8) for _ in range(8)], results_of(0.4, slope=None))
    ran("combine", *folders, "--out", tmp_path / "network", "--below", "0.7")
    printed = capsys.readouterr().out
    assert "AUROC: Site 08 differs significantly from the other sites (p < 0.001)\n" in printed
    assert "calibration slope: not defined at Site 08; no site differs significantly" in printed
    assert re.search(r"\nThe probability that .* a next site is below 0\.7 is \d+ %\.\n", printed)


def test_two_sites_cannot_judge_each_other(tmp_path: Path) -> None:
    network = combine(sites(tmp_path, *spread_out(2)), below=0.7)
    auroc = network.models[0].measures["auroc"]
    assert auroc.below is None
    assert not auroc.without_site
    text = text_of(network, tmp_path)
    assert "AUROC: of two sites, none can be judged by the others." in text
    assert "The probability of an AUROC below 0.7 is given for 5 sites or more." in text
    assert "each site left out" not in text
    # Of two sites that are alike, the interval of the mean is the wider one, and both say why.
    pool = pooled(np.array([1.0, 1.01]), np.full(2, 0.1))
    assert pool.high - pool.low > pool.next_high - pool.next_low
    for words in (text, network_text(network)):
        assert "can be wider than that of a next site: read the analysis with a prior." in words


@pytest.mark.slow
def test_forty_sites_with_an_outlier_and_a_case_mix(tmp_path: Path) -> None:
    results = [
        results_of(float(expit(sd)), sd_logit=sd) for sd in np.linspace(0.8, 1.6, 39).tolist()
    ]
    network = combine(sites(tmp_path, *results, results_of(0.4, sd_logit=1.2)), below=0.7)
    auroc = network.models[0].measures["auroc"]
    assert auroc.primary is auroc.without_prior
    others = auroc.without_site or {}
    assert [site for site, pool in others.items() if (pool["p_value"] or 0) < 0.05] == ["Site 39"]
    assert 0 < (auroc.below or 0) < 0.5
    # Nobody sent the membership.
    assert set(auroc.explanations or {}) == {"sd_logit", "expected_auroc"}
    text = text_of(network, tmp_path)
    assert "AUROC: Site 39 differs significantly from the other sites (p < 0.001); pooled" in text
    assert "per SD of the spread of the predicted logit" in text
    assert "AUROC without a prior (primary)" in text
    assert "The probability that the AUROC of a next site is below 0.7 is" in text
    # All are alike in these, so nothing is to explain.
    assert "Observed / expected: there is no spread beyond chance." in text
    assert "Calibration slope: without a prior the spread is 0; the sites differ no more" in text


def test_a_case_mix_that_is_equal_everywhere_explains_nothing(tmp_path: Path) -> None:
    values = expit(np.linspace(0.5, 2, 12)).tolist()
    text = text_of(combine(sites(tmp_path, *map(results_of, values))), tmp_path)
    assert "AUROC: the case mix cannot, as its numbers are equal at all sites or not sent" in text


def test_identical_sites_have_an_interval(tmp_path: Path) -> None:
    network = combine(sites(tmp_path, *[results_of(0.8) for _ in range(4)]))
    auroc = network.models[0].measures["auroc"]
    assert auroc.without_prior
    assert auroc.without_prior["spread"] == 0
    assert (auroc.without_prior["low"] or 1) < 0.79
    assert (auroc.without_prior["high"] or 0) > 0.81
    text = text_of(network, tmp_path)
    assert "AUROC: without a prior the spread is 0; the sites differ no more than by chance" in text
    assert "AUROC: no site differs significantly from the others; pooled without any one" in text


def test_a_measure_may_be_missing_or_endless(tmp_path: Path) -> None:
    endless = results_of(0.8, errors=(0.1, 350.0, 0.1))
    network = combine(sites(tmp_path, results_of(None, slope=None), endless, results_of(0.7)))
    measures = network.models[0].measures
    assert measures["auroc"].missing == ("Site 00",)
    assert len(measures["auroc"].sites) == 2
    text = text_of(network, tmp_path)
    assert "AUROC: not defined at Site 00; of two sites, none can be judged" in text
    one = combine(sites(tmp_path / "one", results_of(None), results_of(0.8)))
    assert one.models[0].measures["auroc"].primary is None
    alone = text_of(one, tmp_path)
    assert "AUROC: not defined at Site 00; nothing is pooled at fewer than two sites." in alone
    assert "LSTM of Lead: AUROC at fewer than two sites, so not pooled." in alone
    both = combine(sites(tmp_path / "both", endless, endless))
    o_e = both.models[0].measures["o_e"].without_prior
    assert o_e
    assert o_e["high"] is None
    assert "to over 100" in text_of(both, tmp_path)
    far = combine(sites(tmp_path / "far", results_of(0.3), results_of(0.9)))
    assert "to over 10)" in text_of(far, tmp_path)  # the largest spread that is looked for
    assert json.loads(both.json())
    apart = [release_of(tmp_path / name, name, {name: results_of()}) for name in "xy"]
    with pytest.raises(SequelaError, match="no model at two sites"):
        combine(apart)


def test_the_site_that_trained_is_not_pooled(tmp_path: Path) -> None:
    folders = sites(tmp_path, *spread_out(3))
    own = release_of(tmp_path / "own", "lead ", {"lstm": results_of(0.99)})
    network = combine([*folders, own])
    assert list(network.models[0].measures["auroc"].sites) == ["Site 00", "Site 01", "Site 02"]
    text = text_of(network, tmp_path)
    assert "The site that trained the model, lead, is not among them." in text
    assert text.startswith("ward-mortality at 3 sites")
    assert "lead: 0" not in text


def test_names_of_sites_are_text(tmp_path: Path) -> None:
    name = "<b>" + 40 * "long " + "</b>"
    folders = [release_of(tmp_path / n, f"{name}{n}") for n in "ab"]
    page = build_network(combine(folders), tmp_path / "network.html").read_text("utf-8")
    assert "<b>long" not in page
    assert "&lt;b&gt;long" in page


def test_what_cannot_be_combined_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = sites(tmp_path, *spread_out(2))
    out = tmp_path / "network"
    others = {
        "other": release_of(tmp_path / "other", "Other", package="other", lead="B"),
        "question": release_of(tmp_path / "q", "Q", package="q", question="q"),
        "twin": release_of(tmp_path / "twin", "Twin", population="Site 00"),
        "name": release_of(tmp_path / "name", "SITE  00", population="new patients"),
        "edited": release_of(tmp_path / "edited", "Edited"),
    }
    path = others["edited"] / FILE
    path.write_text(path.read_text("utf-8").replace('"death in', '"survival in'), "utf-8")

    def refused(*arguments: str | Path) -> str:
        return refusal(capsys, "combine", *arguments, "--out", out)

    assert "no model at two sites" in refused(first)
    assert "one package; --models compares" in refused(first, others["other"])
    assert "is of another question than" in refused(first, others["question"], "--models")
    assert "expected packages of two lead sites or more" in refused(first, second, "--models")
    assert "has the same patients as the site in" in refused(first, others["twin"])
    assert "has other patients than the site of this name" in refused(first, others["name"])
    assert "was changed after it was written" in refused(first, others["edited"])
    assert f"Site 00 is in {first}" in refused(first, second, first)
    assert "not found" in refused(first, tmp_path / "nothing")
    assert "between 0 and 1" in refused(first, second, "--below", "70")
    assert not out.exists()


def crossed(folder: Path, leads: str, names: str, gain: float) -> list[Path]:
    """Write the releases of each lead's package at each site; the last lead's model is better."""
    releases = []
    for lead in leads:
        for place, name in enumerate(names):
            wave = 0.3 * np.sin(place) + 0.03 * np.cos(place * (1 + leads.index(lead)))
            logits = 1 + wave + gain * (lead == leads[-1])
            results = results_of(float(expit(logits)), title=f"Model {lead}")
            path, models = folder / f"{lead}-{name}", {"m": results}
            site = release_of(path, f"Site {name}", models, package=lead, lead=f"Site {lead}")
            releases.append(site)
    return releases


def test_training_site_by_evaluation_site(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folders = crossed(tmp_path, "ABC", "ABCDEF", 0.5)
    ran("combine", *folders, "--models", "--out", tmp_path / "network")
    assert "\nModel C of Site C at 5 sites\n" in capsys.readouterr().out
    network = combine(folders, several_packages=True)
    assert network.best == "Model C of Site C"
    first = network.differences["Model A of Site A minus Model B of Site B"]
    assert first["sites"] == 4  # neither A nor B
    assert (first["p_value"] or 0) > 0.05
    text = text_of(network, tmp_path)
    assert "Model C of Site C travels best: its AUROC is significantly higher" in text
    assert text.count("own 0.82 (0.79 to 0.85)") == 3
    same = combine(crossed(tmp_path / "same", "ABC", "ABCDEF", 0.0), several_packages=True)
    assert len(same.differences) == 3
    assert same.best is None
    # A site may be written in two ways, and a site that trained need not evaluate.
    few = crossed(tmp_path / "few", "AB", "DEF", 0.5)
    path, models = tmp_path / "d", {"m": results_of()}
    lead, twin = "site C", "Site D"
    few.append(release_of(path, "SITE  d", models, package="C", lead=lead, population=twin))
    partly = combine(few, several_packages=True)
    assert "\u2013" in text_of(partly, tmp_path)  # where no release is
    names = partly.sites
    assert names == ("Site A", "Site B", "site C", "Site D", "Site E", "Site F")
    # The lead's name is that of its release, which comes later in the order.
    own = release_of(tmp_path / "b", "SITE b", models, package="A", lead="Site A")
    assert combine([*few, own], several_packages=True).models[1].lead == "SITE b"
    # With three hospitals that train, only one is new to two models.
    three = combine(crossed(tmp_path / "three", "ABC", "ABC", 0.5), several_packages=True)
    assert three.differences == {}
    assert "Which model travels best cannot be said" in text_of(three, tmp_path)
