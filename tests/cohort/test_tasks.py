import pytest

from sequela.cohort.tasks import TASKS, Task, landmark, report_2019, task_named
from sequela.errors import SettingError, UnknownNameError


@pytest.mark.parametrize("name", TASKS)
def test_a_declaration_reads_back(name: str) -> None:
    task = task_named(name)
    assert Task.from_dict(task.to_dict()) == task


def test_what_is_not_set_is_left_out_so_that_toml_can_hold_it() -> None:
    assert "horizon_days" not in task_named("in-hospital").to_dict()


def test_fields_change_by_name() -> None:
    assert task_named("in-hospital", hours=48).hours == 48
    assert "48 hours" in task_named("in-hospital", hours=48).describe()
    assert "within 1826 days" in landmark().describe()


def test_the_report_says_that_it_leaks_and_nothing_else_does() -> None:
    assert "LEAKS" in report_2019().describe()
    assert [name for name in TASKS if task_named(name).leaks] == ["report-2019"]


def test_unknown_names_get_a_hint() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'in-hospital'"):
        task_named("in-hospitel")
    with pytest.raises(UnknownNameError, match="did you mean 'minors'"):
        task_named("in-hospital", exclude=("minor",))
    with pytest.raises(UnknownNameError, match="trigger"):
        task_named("in-hospital", trigger="birth")


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("in-hospital", {"hours": -1}, "at least 0"),
        ("in-hospital", {"colour": 1}, "colour"),
        ("in-hospital", {"horizon_days": 30}, "go together"),
        ("post-discharge", {"horizon_days": None}, "go together"),
        ("post-discharge", {"horizon_days": 0}, "more than 0"),
        ("landmark", {"exclude": ("organ-donors",)}, "about hospital stays"),
        ("landmark", {"label": "death in the stay"}, "needs a trigger"),
    ],
)
def test_settings_that_do_not_fit(name: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        task_named(name, **changes)


def test_a_declaration_by_hand_that_lacks_a_field() -> None:
    with pytest.raises(SettingError, match="not a task"):
        Task.from_dict({"name": "mine"})
