"""The connection to Ray, and how it ends: normally, by Ctrl-C, by SIGTERM, or by losing the terminal."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import FrameType

import ray
from ray.exceptions import AuthenticationError
from ray.job_config import JobConfig

from raysweep.errors import RaysweepError
from raysweep.orchestrate import ray_private
from raysweep.orchestrate.nodes import this_machine

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


@contextmanager
def connect(address: str | None, metadata: Mapping[str, str], dashboard: bool | None) -> Iterator[str]:
    """Use a Ray session with our settings: the open one, the cluster at the address, or a new local one.

    Without an address, RAY_ADDRESS and then a cluster that `ray start` started on this machine are used; "auto" means
    the latter only. Yields the address of the dashboard; empty without one, or in a session that was already open.

    Raises:
        RaysweepError: nothing answers at the address, or it requires a token that is not at hand.
    """
    with _environment(SETTINGS):
        if ray.is_initialized():
            with graceful_signals(), _quiet():
                yield ""
            return
        url = _connect(address, metadata, dashboard)
        # After ray.init, which sets a signal handler of its own.
        with graceful_signals(), _quiet():
            try:
                yield url
            finally:
                ray.shutdown()


def _connect(address: str | None, metadata: Mapping[str, str], dashboard: bool | None) -> str:
    where = _find(address or os.environ.get("RAY_ADDRESS") or "")
    try:
        knock(where)
        context = ray.init(
            address=where or "local",
            include_dashboard=dashboard,
            log_to_driver=False,
            logging_level=logging.ERROR,
            job_config=JobConfig(metadata=dict(metadata)),
            **({} if where else this_machine()),
        )
    except (OSError, ValueError, AuthenticationError) as error:
        raise RaysweepError(
            f"cannot connect to Ray at {where or 'this machine'} ({error}): check the address and, if the cluster "
            "requires one, the auth token (RAY_AUTH_MODE=token, ~/.ray/auth_token); or omit the address to use this "
            "machine."
        ) from error
    return str(context.dashboard_url or "")


def _find(address: str) -> str:
    """Return the address itself; for none or "auto", the address of the cluster on this machine.

    Raises:
        RaysweepError: "auto" without such a cluster: a sweep on a head node must not start a Ray of its own.
    """
    if address not in ("", "auto"):
        return address
    here = _started_here()
    if address and not here:
        raise RaysweepError(
            "RAY_ADDRESS or --address is auto, but no Ray cluster runs on this machine: start one with `ray up` or "
            "`ray start --head`, or unset RAY_ADDRESS to use only this machine."
        )
    return here


def _started_here() -> str:
    # The address that `ray start` writes to disk outlives a killed cluster, and Ray would try it for minutes.
    address = ray_private.read_ray_address() or ""
    try:
        knock(address)
    except OSError:
        return ""
    return str(address)


def knock(address: str) -> None:
    """Open and close a connection to host:port; Ray itself would try for two minutes if nothing answers.

    Raises:
        OSError: nothing answers.
    """
    host, _, port = address.rpartition(":")
    if port.isdigit() and "://" not in address:
        socket.create_connection((host, int(port)), timeout=10).close()


@contextmanager
def graceful_signals() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into an exception, so that everything is closed; a second one exits.

    A `ray submit` whose connection breaks sends SIGHUP; under `nohup` it stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[int] = []

    def on_signal(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            os._exit(128 + number)
        raise KeyboardInterrupt if number == signal.SIGINT else SystemExit

    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    numbers = (signal.SIGINT, signal.SIGTERM, *(() if ignored else (signal.SIGHUP,)))
    before = {number: signal.signal(number, on_signal) for number in numbers}
    try:
        yield
    except SystemExit:
        if not received:
            raise
        # Not where it was raised: when that is inside one of Ray's own waits, Ray changes the status to 1.
        raise SystemExit(128 + received[0]) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _environment(settings: Mapping[str, str]) -> Iterator[None]:
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})


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
