"""The connection to Ray."""

from __future__ import annotations

import logging
import os
import socket
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import AuthenticationError

from raysweep.disk.private import is_ours
from raysweep.errors import LostClusterError, RaysweepError
from raysweep.orchestrate import ray_private
from raysweep.orchestrate.events import headline
from raysweep.orchestrate.local_ray import LocalRay, local_ray
from raysweep.orchestrate.nodes import this_machine
from raysweep.orchestrate.ray_private import LOOPBACK, OTHER_NODES, UV_RUN, own_sessions, without
from raysweep.process.children import child_settings, environment
from raysweep.process.stopping import owns_process, rearm, stoppable

SETTINGS = {
    **ray_private.SETTINGS,
    # raysweep shows the progress and stores the results itself.
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    # A failed trial has no rows, so no metric.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Relative paths mean the same in a trial as on the command line.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # How soon a dead worker is detected.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Environment of the driver, which passes on what workers need. A job-wide `runtime_env` would work too, but then every
process of the sweep would be started from scratch instead of taken from those that Ray keeps ready."""

PATIENCE_S = 10.0
"""How long something at an address may take to answer."""
About = list[str]
"""Where the dashboard of a session is, then what else its user should know of it."""


@contextmanager
def connect(address: str | None, metadata: Mapping[str, str], dashboard: bool | None) -> Iterator[About]:
    """Use a Ray session with our settings: the open one, the cluster at the address, or a new one of this sweep alone.

    Without an address RAY_ADDRESS has it; "auto" is the cluster that `ray start` has started on this machine, "local" a
    new one. No other cluster is joined. Yields what to report: where the dashboard is, and whatever is unusual.

    Raises:
        RaysweepError: nothing answers at the address, or it requires a token that is not at hand.
    """
    with environment(SETTINGS | child_settings()), stoppable(), _quiet():
        if ray.is_initialized():
            yield ["no dashboard"]
            return
        with _session(address or os.environ.get("RAY_ADDRESS") or "", metadata, dashboard) as about:
            rearm()  # ray.init sets a signal handler of its own
            try:
                yield about
            finally:
                # Threads still wait for a lost cluster: to shut down may crash a process that can end at once instead.
                if not (owns_process() and isinstance(sys.exception(), LostClusterError)):
                    ray.shutdown()


@contextmanager
def _session(named: str, metadata: Mapping[str, str], dashboard: bool | None) -> Iterator[About]:
    """Connect to the cluster at an address, or start a Ray of our own without one."""
    job = ray_private.job_config(metadata)
    settings = {
        "include_dashboard": dashboard,
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "job_config": job,
    }
    if named not in ("", "local"):
        where = _find(named)
        with _joined(where, settings) as dashboard_url:
            yield _about(dashboard_url)
        return
    with local_ray() as own, _authentication({**LOOPBACK, **own.environment}), without(UV_RUN, OTHER_NODES):
        yield _about(_start(own, settings), own.token)


@contextmanager
def _authentication(settings: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables that Ray would otherwise read once per process."""
    try:
        with environment(settings):
            ray_private.reread_authentication()
            yield
    finally:
        ray_private.reread_authentication()


def _start(own: LocalRay, settings: Mapping[str, Any]) -> str:
    try:
        with own_sessions():
            context = ray.init(address="local", _temp_dir=str(own.folder), **this_machine(), **settings)
        return str(context.dashboard_url or "")
    except Exception as error:  # Ray raises many types here
        ray.shutdown()
        raise RaysweepError(
            f"Ray cannot start on this machine ({headline(str(error))}): its logs are in {own.folder}. --inline trains "
            "without Ray, one trial at a time."
        ) from error


@contextmanager
def _joined(where: str, settings: Mapping[str, Any]) -> Iterator[str]:
    with ExitStack() as stack:
        try:
            if "://" not in where:
                knock(where)
                stack.enter_context(_authentication(_mode(where)))
            stack.enter_context(without(UV_RUN))
            dashboard = str(ray.init(address=where, **settings).dashboard_url or "")
        except Exception as error:  # Ray raises many types here
            reason = f"{headline(str(error))}): {_next_step(error)}"
            raise RaysweepError(f"cannot join Ray at {where} ({reason}") from error
        yield dashboard


def _next_step(error: Exception) -> str:
    """What helps against an error of joining a cluster."""
    if isinstance(error, (AuthenticationError, PermissionError)):
        return (
            "unset RAY_AUTH_MODE if the cluster has no token; otherwise set it to token, and put the token into "
            "~/.ray/auth_token or RAY_AUTH_TOKEN."
        )
    if "ersion mismatch" in str(error):
        return "use the versions of Python and Ray with which the cluster was started."
    if isinstance(error, ValueError):
        return "an address is HOST:PORT, for example 10.0.0.1:6379, or auto."
    return "check that the cluster runs and has this address, or omit --address and RAY_ADDRESS to use this machine."


def _mode(address: str) -> Mapping[str, str]:
    """The environment variable with which Ray uses tokens if the cluster does.

    Raises:
        PermissionError: the cluster requires a token and there is none, or only one of both sides wants to use it.
        OSError: no cluster answers.
    """
    with _authentication({"RAY_AUTH_MODE": "disabled"}):
        mode = "token" if ray_private.requires_token(address, PATIENCE_S) else "disabled"
    if os.environ.get("RAY_AUTH_MODE", mode) != mode:
        raise PermissionError(f"it works with RAY_AUTH_MODE={mode}, but here this is set otherwise")
    if mode == "token" and not ray_private.has_token():
        raise PermissionError("it requires a token, and none is here")
    return {"RAY_AUTH_MODE": mode}


def _about(dashboard: str, token: Path | None = None) -> About:
    key = f" (its token: {token})" if token else ""
    about = [f"dashboard at http://{dashboard}{key}" if dashboard else "no dashboard"]
    if os.environ.get("RAY_AUTH_MODE") == "disabled":
        about.append("RAY_AUTH_MODE is disabled: whoever reaches a port of this Ray can run code as you")
    stored = Path.home() / ".ray" / "auth_token"  # earlier versions of Ray and raysweep have left it readable
    with suppress(OSError):  # there is none
        if stored.stat().st_mode & 0o077:
            about.append(f"other users may read {stored}, with which they can run code as you: chmod 600 it")
    return about


def _find(address: str) -> str:
    """Return the address itself; for "auto", the address of the cluster on this machine.

    Raises:
        RaysweepError: "auto" without such a cluster: a sweep on a head node must not start a Ray of its own.
    """
    if address != "auto":
        return address
    here = _started_here()
    if not here:
        raise RaysweepError(
            "RAY_ADDRESS or --address is auto, but you have started no Ray cluster on this machine: start one with "
            "`ray up` or `ray start --head`, or unset RAY_ADDRESS to use only this machine."
        )
    return here


def _started_here() -> str:
    """The address that `ray start` has written to disk, if this user or root called it and the cluster is alive."""
    file = Path(ray_private.get_ray_address_file(None))
    try:
        if not is_ours(file):
            return ""
        address = file.read_text().strip()
        knock(address)
    except (OSError, ValueError):
        return ""
    return address


def knock(address: str) -> None:
    """Open and close a connection to host:port; Ray itself would try for two minutes if nothing answers.

    Raises:
        ValueError: this is no address.
        OSError: nothing answers.
    """
    host, _, port = address.rpartition(":")
    if not port.isdigit():
        raise ValueError("it has no port")
    socket.create_connection((host, int(port)), timeout=PATIENCE_S).close()


@contextmanager
def _quiet() -> Iterator[None]:
    # The sweep's events report dead processes; Ray would also print them on standard output.
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)
    ray_private.print_worker_logs(False)
    try:
        yield
    finally:
        logger.setLevel(level)
        ray_private.print_worker_logs(True)
