"""Carry out `raysweep decide`: open store and logs, train what the steps ask for, and conclude."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from raysweep.identity import line_id
from raysweep.patch import Times, patch
from raysweep.planning import possible
from raysweep.store.decision_log import HOLDS, LONGER, RATE_MARK
from raysweep.sweeps.common import advice, carry_out
from raysweep.sweeps.decide.lab import RATE, Lab
from raysweep.sweeps.decide.prepare import Prepared, log_name, races_of
from raysweep.sweeps.decide.steps import Stream, decide_steps
from raysweep.sweeps.decide.study_races import StudyRaces
from raysweep.sweeps.decide.trials import Trials
from raysweep.sweeps.decide.tune_rates import tuned
from raysweep.sweeps.resources import Resources
from raysweep.terminal.decisions import Decision
from raysweep.terminal.notes import note, warn
from raysweep.terminal.progress import SweepProgress
from raysweep.train.task import TrialTask


def run_decide(prepared: Prepared, resources: Resources, keep_checkpoints: bool = False) -> Decision:
    """Train what the steps ask for until all is decided or the hours are over, showing progress.

    Raises:
        RaysweepError: resources that are not available, or a store that cannot be written.
        KeyboardInterrupt: stopped by the user; the same command continues.
    """
    lab = open_lab(prepared, resources.deterministic, keep_checkpoints)
    begun: list[StudyRaces] = []
    note(f"{lab.num_results} results were there earlier; results in {lab.trials.store.uri}")
    warn(advice([lab.baseline().recipe]))

    def begin_races(lab: Lab) -> StudyRaces:
        races = open_races(lab, prepared)
        races.say = lab.say
        races.resume()
        begun.append(races)
        return races

    asked = prepared.asked
    steps = decide_steps(lab, begin_races, asked.race_only, asked.tune_rates)
    execute(Stream(lab, steps), resources, list(prepared.questions), asked.request.protocol)
    races = begun[-1] if begun else begin_races(lab)  # stopped before the first trial of a race
    races.stop(stopped_why(races))
    return conclude(lab, races)


def conclude(lab: Lab, races: StudyRaces) -> Decision:
    """What the races and the logs say."""
    answers = [replace(one, marks=marks_of(lab, one.study, one.variant)) for one in races.answers()]
    warnings = list(dict.fromkeys(row["text"] for row in lab.logged("warning")))
    final = next(reversed(lab.logged("final")), None)
    return Decision(answers, final, warnings, [*races.failed, *lab.failed])


def marks_of(lab: Lab, study: str, variant: str) -> tuple[str, ...]:
    """What the checks after the race say of a variant."""
    own = {"study": study, "variant": variant}
    turns = any(row["turns"] for row in lab.logged("rate") if row.items() >= own.items())
    lasting = [row["outcome"] for row in lab.logged("lasting") if row.items() >= own.items()]
    fading = [f"{lasting[-1]} {LONGER}"] if lasting and lasting[-1] != HOLDS else []
    return (*[RATE_MARK] * turns, *fading)


def open_lab(prepared: Prepared, deterministic: bool, keep_checkpoints: bool) -> Lab:
    """The store and the logs, with what they have.

    Raises:
        RaysweepError: the store cannot be written.
    """
    from raysweep.store.decision_log import DecisionLog
    from raysweep.store.store import Store

    asked = prepared.asked
    store = Store.open(prepared.store_uri, create=True)
    for manifest in prepared.manifests:
        store.write_manifest(manifest)
    logs = {study: DecisionLog(store.files, log_name(head), head) for study, head in prepared.heads.items()}
    template = TrialTask(
        *("", prepared.plan[0].recipe, "", store.uri, asked.request.protocol),
        keep_checkpoint=keep_checkpoints,
        deterministic=deterministic,
    )
    lab = Lab(
        *(prepared.fitted, asked.request.find_studies()[0], prepared.sets, Trials(store, template), logs),
        *(prepared.races.budget, prepared.pace, asked.asked.settings, len(prepared.races.due())),
    )
    lab.keep_choices(prepared.why)
    return lab


def open_races(lab: Lab, prepared: Prepared) -> StudyRaces:
    """The races at the length and with the settings that the lab has now, before their logs are repeated."""
    plan = possible(lab.request.plan())
    own_rates = tuned(lab)
    for index, one in enumerate(plan):
        if (factor := own_rates.get(line_id(one.recipe), 1.0)) != 1.0:
            plan[index] = replace(one, recipe=patch(one.recipe, {RATE: Times(factor)}))
    entries = {line_id(one.recipe): lab.entry(one.recipe, one.members) for one in plan}
    races = races_of(prepared.questions, plan, prepared.pace, lab.budget)
    return StudyRaces(races, entries, lab.logs, lab.trials, prepared.pace.start_s)


def stopped_why(races: StudyRaces) -> str:
    """Why nothing more is run."""
    if races.failed:
        return "failed trials"
    if not any(races.races.undecided()):
        return "all is decided"
    return "the time is used" if any(answer.needed_s for answer in races.answers()) else "no further run would decide"


def execute(stream: Stream, resources: Resources, studies: list[str], protocol: str) -> None:
    """Hand out trials and take their results until nothing more is to be run."""
    import raysweep.data.loops  # noqa: F401 - compiles them before the first trial needs them
    from raysweep.orchestrate.events import ENDS, Event

    ended: set[str] = set()

    def on_event(event: Event) -> None:
        if event.kind in ENDS:
            ended.add(event.trial)
        progress.on_event(event)
        if resources.inline and event.kind in ENDS:  # on Ray, Tune reports them
            stream.end(event.trial, event.kind, event.text)

    def on_ray() -> dict[str, Any]:
        from raysweep.orchestrate.nas_searcher import NasSearch

        return {"search": NasSearch(stream)}

    store = stream.lab.trials.store.uri
    about = {"studies": ", ".join(studies), "protocol": protocol, "store": store, "search": "decide"}

    def left() -> int:
        return stream.expected_left(ended)

    with SweepProgress([], stream.planned, {studies[0]: left()}, left) as progress:
        stream.lab.say = lambda kind, text: progress.on_event(Event(kind, text=text))  # type: ignore[arg-type]
        carry_out(stream.in_turn(), on_event, resources, about, on_ray)
