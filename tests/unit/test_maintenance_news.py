from __future__ import annotations

from taskd.maintenance.wakeup import LaneNews, News, read_news


def test_notifications_of_one_lane_are_put_together() -> None:
    news = read_news(['["mail", 5, 2, 40]', '["mail", 5, 3, 37]', '["mail", 9, 1, 41]'])

    assert news.lanes == (LaneNews("mail", 5, 37, 5), LaneNews("mail", 9, 41, 1))


def test_the_earliest_due_time_of_a_batch_counts() -> None:
    assert read_news(["[30.5]", "[2]", "[60.0]"]).due == 2


def test_a_request_is_heard_among_other_news() -> None:
    assert read_news(["[1]", '"request"']) == News(due=1, requests=True)


def test_a_schedule_that_changed_is_heard_among_other_news() -> None:
    assert read_news(["[1]", '"schedule"']) == News(due=1, schedules=True)


def test_what_others_notify_on_the_channel_is_left_out() -> None:
    assert read_news(["", "hello", "{}", '["mail"]', '"check 1"', "[1, 2, 3, 4]"]) == News()
