"""A German printer as its owner sees it: console, dialogs, reminders and names."""

from __future__ import annotations

import re

RODS = """
[maintain rods]
label: Stangen ölen
message: Abwischen, dann ein Tropfen Öl.
parts: Öl
trigger: print_time
threshold: 150
"""
GERMAN = "[maintain]\nlanguage: de\n"
DONE = "// action:prompt_button Erledigt|UPDATE_MAINTENANCE NAME=rods BY=screen|primary"
LATER = (
    "// action:prompt_button Später"
    "|SNOOZE_MAINTENANCE NAME=rods HOURS=24 BY=screen|secondary"
)


def test_a_reminder_is_german_on_console_display_and_dialog(bench):
    printer = bench(GERMAN + RODS)
    printer.use(print_time=151.5)

    console = printer.console
    sentence = (
        "Stangen ölen ist fällig: 151,5 h von 150 h sind verbraucht, 1,5 h zu viel."
    )
    assert f"// Wartung: {sentence}" in console
    assert printer.status("display_status")["message"] == "Wartung: Stangen ölen"
    assert [line for line in console if line.startswith("// action:prompt_")] == [
        "// action:prompt_end",
        "// action:prompt_begin Stangen ölen",
        "// action:prompt_text Abwischen, dann ein Tropfen Öl. Material: Öl. "
        + sentence,
        DONE,
        LATER,
        "// action:prompt_footer_button Schließen|MAINTENANCE_PROMPT CLOSE=1|info",
        "// action:prompt_show",
    ]


def test_commands_answer_in_german(bench):
    printer = bench(GERMAN + RODS)
    printer.use(print_time=12.0)

    assert printer.say("MAINTAIN_STATUS").startswith(
        "// Stangen ölen: noch 138 h von 150 h"
    )
    assert printer.say("SNOOZE_MAINTENANCE NAME=rods HOURS=1") == (
        "// Wartung „Stangen ölen“ ist für 1 Stunde verschoben."
    )
    assert printer.say("SNOOZE_MAINTENANCE NAME=rods HOURS=1.5") == (
        "// Wartung „Stangen ölen“ ist für 1,5 Stunden verschoben."
    )
    assert printer.say("UPDATE_MAINTENANCE NAME=rods BY=anna NOTE=neu") == (
        "// Wartung „Stangen ölen“ ist als erledigt eingetragen;"
        " die Zählung beginnt neu."
    )
    line = printer.say("MAINTENANCE_LOG LIMIT=1")
    assert line.endswith(
        " Stangen ölen erledigt von anna, verbraucht print_time 12 h: neu"
    )
    assert re.match(r"// 2\d\.11\.2026 \d\d:\d\d ", line)
    assert printer.say("CHECK_MAINTENANCE NAME=zahnriemen").startswith(
        "!! Es gibt keine Wartung „zahnriemen“. Es gibt: rods."
    )
    assert printer.say("SNOOZE_MAINTENANCE NAME=rods HOURS=bald") == (
        "!! HOURS=bald muss eine Zahl sein, mindestens 0."
    )


def test_texts_for_programs_are_the_same_in_every_language(bench, tmp_path):
    def status(main):
        store = tmp_path / main[-3:].strip()
        store.mkdir()
        printer = bench(main + RODS, store=store)
        printer.use(print_time=151.5)
        return printer.task("rods")

    assert status(GERMAN) == status("[maintain]\nlanguage: en\n")


def test_an_unknown_language_is_reported_once_and_the_printer_starts(bench):
    printer = bench("[maintain]\nlanguage: tlh\n" + RODS)
    printer.use(print_time=151.5)

    console = "\n".join(printer.console)
    assert console.count("There is no language 'tlh', so English is used.") == 1
    assert "Write one of these behind 'language': de, en" in console
    assert "// Maintenance: Stangen ölen is due: 151.5 h used of 150 h" in console
