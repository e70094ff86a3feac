"""The connection to Ray, and how it ends: in the normal way, by Ctrl-C, by SIGTERM, or by the loss of the terminal."""

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
from ray._private.utils import read_ray_address
from ray.exceptions import AuthenticationError
from ray.job_config import JobConfig

from raysweep.errors import RaysweepError

SETTINGS = {
    # Our progress is the only one, and our store the only results.
    "RAY_AIR_NEW_OUTPUT": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "86400",
    # A trial that failed has no rows, so no metric.
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    # Relative paths mean in a trial what they mean on the command line.
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    # How soon a dead worker is noticed; and no process beside each gang that watches for nodes about to be taken away:
    # `watch` does that for all.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.5",
    "RAY_TRAIN_ENABLE_PREEMPTION_WATCHER": "0",
    # Nothing is reported to anyone.
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""Read by Ray in the driver, which hands on what its workers need. A job-wide `runtime_env` would do as well, but every
process of the sweep would then be a new one instead of one that Ray has ready."""


@contextmanager
def connect(address: str | None, metadata: Mapping[str, str], dashboard: bool | None) -> Iterator[str]:
    """A Ray session with our settings: the one that is open, the cluster at the address, or a local one just for us.

    Without an address Ray looks at RAY_ADDRESS and for a cluster that `ray start` started on this machine; "auto" is
    that one and no other. Gives the address of the dashboard, empty where there is none or the session is not ours.

    Raises:
        RaysweepError: nothing answers at the address, or it wants a token that we do not have.
    """
    with _environment(SETTINGS):
        if ray.is_initialized():
            with graceful_signals(), _quiet():
                yield ""
            return
        url = _connect(address, metadata, dashboard)
        # Only now: Ray sets a signal handler of its own.
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
        )
    except (OSError, ValueError, AuthenticationError) as error:
        raise RaysweepError(
            f"cannot use Ray at {where or 'this machine'} ({error}): check the address and, where the cluster wants "
            "one, the token (RAY_AUTH_MODE=token, ~/.ray/auth_token); or leave the address out to use this machine."
        ) from error
    return str(context.dashboard_url or "")


def _find(address: str) -> str:
    """The address itself; for none or "auto", that of the cluster on this machine.

    Raises:
        RaysweepError: "auto" where there is no such cluster: a sweep on a head must not start a Ray of its own.
    """
    if address not in ("", "auto"):
        return address
    here = _started_here()
    if address and not here:
        raise RaysweepError(
            "no Ray cluster runs on this machine, and RAY_ADDRESS or --address is auto: start one with `ray up` or "
            "`ray start --head`, or unset RAY_ADDRESS to use this machine alone."
        )
    return here


def _started_here() -> str:
    # The note that `ray start` leaves of its address outlives a cluster that was killed, and Ray would try that address
    # for minutes.
    address = read_ray_address() or ""
    try:
        knock(address)
    except OSError:
        return ""
    return str(address)


def knock(address: str) -> None:
    """Open a connection to a host and port; Ray itself tries for two minutes where nothing answers.

    Raises:
        OSError: nothing answers.
    """
    host, _, port = address.rpartition(":")
    if port.isdigit() and "://" not in address:
        socket.create_connection((host, int(port)), timeout=10).close()


@contextmanager
def graceful_signals() -> Iterator[None]:
    """Turn the first SIGINT, SIGTERM or SIGHUP into an exception, so that all is closed; a second one leaves at once.

    SIGHUP is what a `ray submit` whose connection breaks leaves behind; under `nohup` it stays ignored.
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
        # Not where it was raised: Ray, where that was within a wait of its own, gives it a status of 1.
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
    # `log_to_driver` does not cover Ray's reports of dead processes, which it prints to our standard output; the events
    # tell of them. Ray's debugger turns them off in the same way.
    logger = logging.getLogger("ray")
    level = logger.level
    logger.setLevel(logging.ERROR)
    ray._private.worker._worker_logs_enabled = False
    try:
        yield
    finally:
        logger.setLevel(level)
        ray._private.worker._worker_logs_enabled = True
