from dataclasses import replace

import pytest

from sequela.cohort.outcomes import DEATH_IN_ANY_STAY, DEATH_IN_STAY
from sequela.cohort.tasks import (
    TASKS,
    Task,
    in_hospital,
    landmark,
    report_2019,
    task_named,
    with_hindsight,
)
from sequela.errors import SettingError, UnknownNameError


def test_what_is_not_set_is_left_out_so_that_toml_can_hold_it() -> None:
    assert "horizon_days" not in task_named("in-hospital").to_dict()


def test_fields_change_by_name() -> None:
    assert task_named("in-hospital", hours=48).hours == 48
    assert "48 hours" in task_named("in-hospital", hours=48).describe()
    assert "within 1826 days" in landmark().describe()
    assert task_named("post-discharge", horizon_days=0.5).horizon_days == 0.5


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
        ("post-discharge", {"horizon_days": 0}, "horizon_days must be more than 0"),
        ("landmark", {"exclude": ("organ-donors",)}, "about hospital stays"),
        ("landmark", {"outcome": DEATH_IN_STAY}, "needs a trigger"),
        ("in-hospital", {"outcome": DEATH_IN_ANY_STAY}, "needs a trigger of subjects"),
        ("report-2019", {"trigger": "ICU admission"}, "needs a trigger of subjects"),
        (
            "post-discharge",
            {"hindsight": True},
            "--hindsight needs a task that counts from an admission",
        ),
    ],
)
def test_settings_that_do_not_fit(name: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        task_named(name, **changes)


def test_a_declaration_by_hand_that_lacks_a_field() -> None:
    with pytest.raises(SettingError, match="not a task"):
        Task.from_dict({"name": "mine"})


def test_hindsight_is_the_same_question_with_a_leak() -> None:
    back = with_hindsight(in_hospital(48))
    assert Task.from_dict(back.to_dict()) == back
    assert "the whole stay, including data from after the prediction" in back.describe()
    assert "LEAKS" in back.describe()
    assert (
        in_hospital(48).describe().replace("data available by then", "")
        in (
            back.describe()
            .replace("the whole stay, including data from after the prediction", "")
            .split("; LEAKS")[0]
        )
    )


def test_the_question_of_a_label_file_is_not_the_tasks() -> None:
    told = replace(in_hospital(), name="labels").describe()
    assert (
        told == "the labels of a file, each predicted at its own time from data available by then"
    )
