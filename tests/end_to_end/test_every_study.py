"""Every study on real images at tiny scale, from a source file to a report, as the commands that `run` names say."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

import raysweep
from raysweep.analysis.page.report import write_report
from raysweep.errors import RaysweepError
from raysweep.store.trunks import wants_trunk
from raysweep.study import study_names
from tests.end_to_end.few_images import few_images
from tests.verbs.test_cli import good

SIDES = {"cifar10": 32, "imagenette128": 144}
FILES = {"cifar10": "cifar10.parquet", "imagenette128": "imagenette144.parquet"}
TINY = {
    "network.width": 0.0625,
    "network.outputs": 10,
    "training.batch_size": 16,
    "training.epochs": 1.0,
    "solver.lr": 0.001,
}


@pytest.fixture(scope="module", params=list(FILES))
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def images(protocol: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The image set of the protocol and all that its studies need besides, written as the refusal of `run` says."""
    real = Path(__file__).resolve().parents[3] / "shared" / "data" / FILES[protocol]
    if not real.is_file():
        pytest.skip("no real images on this machine")
    folder = tmp_path_factory.mktemp(protocol)
    source = few_images(real, folder / "few.parquet", train=8, test=3)
    good("data", "write", source, folder / "data", "--side", SIDES[protocol])
    request = {"protocol": protocol, "settings": TINY, "data": folder / "data", "store": str(folder / "unused")}
    with pytest.raises(RaysweepError, match="image sets are missing") as refusal:
        raysweep.run("all", inline=True, **request)
    together, *each = [line for line in str(refusal.value).splitlines() if "data write SOURCE" in line]
    assert len(each) >= 8
    _, *words = shlex.split(together.replace("SOURCE", str(source)))
    good(*words)
    return folder / "data"


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("study", study_names())
def test_a_study_runs_from_its_plan_to_its_report(study: str, protocol: str, images: Path, tmp_path: Path) -> None:
    request = {"protocol": protocol, "settings": TINY, "data": images, "store": str(tmp_path / "results")}
    outcome = raysweep.run(study, inline=True, **request)
    assert not outcome.failed
    plan = raysweep.plan(study, **request)
    left_out = [planned for planned in plan if planned.action == "omit"]
    assert all(wants_trunk(planned.recipe) for planned in left_out)  # there are no trained networks
    assert {planned.action for planned in plan} - {"omit"} == {"skip"}
    frame = raysweep.results(study, request["store"])
    assert set(frame.status) <= {"finished", "diverged"}
    assert (frame.status == "finished").mean() > 0.5
    assert frame[frame.status == "finished"].logloss.notna().all()
    page = write_report(request["store"], [study], tmp_path / "report").read_text()
    missing = {member.variant for planned in left_out for member in planned.members}
    assert all(variant.name in page for variant in raysweep.find_study(study).variants if variant.name not in missing)
