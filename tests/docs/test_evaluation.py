"""The page on evaluation leaves no metric out."""

from tests.docs.conftest import DOCS

from sequela.evaluation.metrics import METRICS


def test_each_metric_stands_on_the_page() -> None:
    lines = (DOCS / "evaluation.md").read_text("utf-8").splitlines()
    rows = [
        f"| {m.title} (`{m.name}`) | {m.better or 'neither'} | {m.needs} | {m.says} |"
        for m in METRICS.values()
    ]
    assert [row for row in rows if not any(line.startswith(row) for line in lines)] == []
