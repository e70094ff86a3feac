"""Questions on a terminal: one line each, at most 20 verdicts, and news while they are followed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from raysweep.deciding.verdicts import Outcome, Verdict
from raysweep.store.asked_questions import AskedQuestion, Step, asked_questions
from raysweep.store.files import Files
from raysweep.terminal.decisions import MOST_ROWS
from raysweep.terminal.questions import LONGEST, news, questions_text
from tests.store.questions import ask


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> AskedQuestion:
    """A question about 50 variants, of which those of even number are better."""
    files = Files.at(str(tmp_path_factory.mktemp("store")))
    ask(files, [], ("v0",), steps=[{"step": "warning", "text": "short\x1b[31m" + 200 * "!"}])
    (found,) = asked_questions(files, print)
    better = [Verdict(Outcome.BETTER, number, number - 1.0, number + 1.0, 2, 0) for number in range(50)]
    undecided = [replace(one, outcome=Outcome.UNDECIDED) for one in better]
    verdicts = {f"v{number}": (undecided if number % 2 else better)[number] for number in range(50)}
    return replace(found, verdicts=verdicts)


def test_fifty_variants_are_twenty_rows_and_the_rest_is_counted(asked: AskedQuestion) -> None:
    lines = questions_text([asked]).splitlines()
    assert lines[1].split()[:3] == ["activation", str(asked.decided), str(asked.open)]
    assert (asked.decided, asked.open) == (25, 25)
    assert "in progress" in lines[1]
    assert "\\x1b" in lines[1]
    assert lines[1].endswith("...")
    rows = lines[4:-1]
    assert len(rows) == MOST_ROWS
    assert [row.split()[1] for row in rows] == [f"v{number}" for number in range(48, 8, -2)]
    assert lines[-1].startswith("and 30 more: 5 better, 25 undecided")
    assert len(lines[1]) < LONGEST + 100


def test_many_questions_are_twenty_rows_the_latest_ones(asked: AskedQuestion) -> None:
    assert asked.changed_at
    questions = [
        replace(asked, study=f"s{number:02}", verdicts={}, changed_at=asked.changed_at.replace(year=2000 + number))
        for number in range(25)
    ]
    lines = questions_text(questions).splitlines()
    assert [line.split()[0] for line in lines[1:-1]] == [f"s{number:02}" for number in range(5, 25)]
    assert lines[-1].startswith("and 5 more")


def test_the_news_of_a_question_are_said_once(asked: AskedQuestion) -> None:
    first = list(news(None, asked))
    assert len(first) == 1 + 25 + 1
    assert list(news(asked, asked)) == []
    (step, state) = news(asked, replace(asked, steps=[*asked.steps, Step("final", "done", {})], stop="all is decided"))
    assert ("final" in step, "done" in step, "all is decided" in state) == (True, True, True)
