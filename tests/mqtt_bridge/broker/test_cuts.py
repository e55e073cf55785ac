"""A message at which the broker ends the connection is not sent a third time."""

from __future__ import annotations

from mqtt_bridge.broker.cuts import LEFT_OUT, MOST, SOON, SUSPECTED, Cuts

COMMAND, OTHER = "base/voron/tasks/rods/command", "base/ender/tasks/belt/command"


def test_a_single_end_of_the_connection_proves_nothing():
    cuts = Cuts()
    assert cuts.ended({COMMAND: 0.0}, 1.0) == ""
    assert not cuts.leaves_out(COMMAND, 1.0)
    assert cuts.careful(1.0)


def test_after_the_second_end_right_after_a_topic_the_topic_is_left_out():
    cuts = Cuts()
    cuts.ended({COMMAND: 0.0, OTHER: 0.0}, 1.0)
    assert cuts.ended({COMMAND: 100.0}, 101.0) == COMMAND
    assert cuts.leaves_out(COMMAND, 102.0)
    assert not cuts.leaves_out(OTHER, 102.0)


def test_a_topic_is_tried_again_later_and_one_more_end_leaves_it_out():
    cuts = Cuts()
    for now in (1.0, 2.0):
        cuts.ended({COMMAND: now}, now)
    later = 3.0 + LEFT_OUT
    assert not cuts.leaves_out(COMMAND, later)
    assert cuts.ended({COMMAND: later}, later) == COMMAND
    assert cuts.leaves_out(COMMAND, later + 1)


def test_an_acknowledged_message_is_not_blamed():
    cuts = Cuts()
    cuts.ended({COMMAND: 0.0, OTHER: 0.0}, 1.0)
    cuts.acknowledged(COMMAND)
    cuts.acknowledged(OTHER)
    assert not cuts.careful(2.0)
    assert cuts.ended({COMMAND: 2.0}, 2.0) == ""


def test_none_of_several_messages_is_blamed():
    cuts = Cuts()
    for now in (1.0, 2.0, 3.0):
        assert cuts.ended({COMMAND: now, OTHER: now}, now) == ""


def test_an_end_long_after_a_message_has_another_reason():
    cuts = Cuts()
    for now in (10.0, 20.0):
        assert cuts.ended({COMMAND: now - SOON}, now) == ""
    assert not cuts.careful(20.0)


def test_a_single_end_of_the_connection_is_forgotten():
    cuts = Cuts()
    cuts.ended({COMMAND: 0.0}, 0.0)
    assert not cuts.careful(SUSPECTED)
    assert cuts.ended({COMMAND: SUSPECTED}, SUSPECTED) == ""


def test_the_number_of_remembered_topics_is_limited():
    """The newest are remembered.

    A second end of the connection leaves out only one of them.
    """
    for number, left_out in ((MOST - 1, False), (MOST, True), (2 * MOST - 1, True)):
        cuts = Cuts()
        cuts.ended({f"{COMMAND}{each}": 0.0 for each in range(2 * MOST)}, 0.0)
        topic = f"{COMMAND}{number}"
        assert cuts.ended({topic: 1.0}, 1.0) == (topic if left_out else "")
