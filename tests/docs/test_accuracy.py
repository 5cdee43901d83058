"""The page on accuracy is that of the committed numbers."""

from pathlib import Path

from benchmarks.accuracy import page

SUMMARY = page.read()


def test_the_page_holds_the_tables_of_the_summary() -> None:
    text = page.PAGE.read_text("utf-8")
    assert f"{page.BEGIN}\n\n{page.content(SUMMARY)}\n{page.END}" in text


def test_each_picture_is_that_of_the_summary() -> None:
    drawn = {task: page.figure(task, SUMMARY.get(task, {})) for task in page.TITLES}
    there = {path.name for path in page.PICTURES.glob("accuracy-*.svg")}
    assert there == {f"accuracy-{task}.svg" for task, figure in drawn.items() if figure}
    for task, figure in drawn.items():
        if figure:
            svg = (page.PICTURES / f"accuracy-{task}.svg").read_text("utf-8")
            assert all(row["model"] in svg for row in figure.rows), task


def test_each_ensemble_of_the_benchmark_has_models_of_its_task() -> None:
    from benchmarks.accuracy import run

    for task, ensembles in run.ENSEMBLES.items():
        assert all(set(members) <= set(run.TASKS[task][2]) for members in ensembles.values())


def test_the_summary_names_known_tasks(tmp_path: Path) -> None:
    assert set(SUMMARY) <= {*page.TITLES, "against", "made"}
    assert set(SUMMARY["against"]) == set(page.PUBLISHED) == set(page.TITLES)
