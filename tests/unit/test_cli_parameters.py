from __future__ import annotations

import click
import pytest

from taskd.cli.parameters import ARRAY, JOB_ID, OBJECT, QUEUE, TASK, TEXT, Duration, Time, Until


def refusal(kind: click.ParamType[object], text: str) -> str:
    with pytest.raises(click.BadParameter) as caught:
        kind.convert(text, None, None)
    return caught.value.message


def test_an_array_of_arguments_is_decoded() -> None:
    assert ARRAY.convert('["a", 1, {"b": null}]', None, None) == ["a", 1, {"b": None}]


def test_what_is_no_id_of_a_job_is_called_so() -> None:
    assert refusal(JOB_ID, "abc") == "'abc' is not a valid job id."


def test_text_that_is_no_json_is_pointed_at() -> None:
    message = refusal(ARRAY, '["a", nope]')

    assert "Expecting value at line 1 column 7" in message
    assert message.endswith('  ["a", nope]\n        ^')


def test_a_single_value_is_no_array_of_arguments_and_the_array_is_shown() -> None:
    assert refusal(ARRAY, '"a"') == "is a text, not a JSON array: write '[\"a\"]'"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[NaN]", "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[" * 100_000, "nested too deeply"),
        ("[" + "1" * 5000 + "]", "4300 digits"),
        ("{}", "an object, not a JSON array"),
    ],
)
def test_what_other_readers_of_json_refuse_is_refused(text: str, reason: str) -> None:
    assert reason in refusal(ARRAY, text)


def test_a_key_given_twice_is_refused() -> None:
    assert refusal(OBJECT, '{"a": 1, "a": 2}') == "has the key 'a' twice"


@pytest.mark.parametrize("name", ["shop tasks.fetch", "a\x1bb", "\udc80", "", "x" * 201])
def test_a_name_that_no_task_can_have_is_refused(name: str) -> None:
    refusal(TASK, name)


@pytest.mark.parametrize("text", ["\udc80", ""])
def test_text_that_no_database_holds_is_refused(text: str) -> None:
    refusal(TEXT, text)


def test_a_queue_with_a_comma_is_refused() -> None:
    assert "commas" in refusal(QUEUE, "a,b")


def test_durations_have_units_and_a_range() -> None:
    assert Duration(0).convert("5m", None, None) == 300.0
    assert "not a duration" in refusal(Duration(0), "soon")
    assert "between" in refusal(Duration(0), "-1s")


@pytest.mark.parametrize("text", ["strated", "STARTED", "1 fortnight", ""])
def test_a_word_for_a_key_that_is_none_is_told_all_that_are(text: str) -> None:
    told = f'{text!r} is not "started", "finished" or a duration such as 1h'

    assert refusal(Until(), text) == told
    assert "between" in refusal(Until(), "0s")


def test_a_time_without_an_offset_is_local() -> None:
    assert Time().convert("2030-01-31T08:00", None, None).tzinfo is not None
    assert "not a time" in refusal(Time(), "tomorrow")
