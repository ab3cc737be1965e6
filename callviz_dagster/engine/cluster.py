"""A Dask cluster, whose workers do the tasks of a refresh: connecting, what is required of it, and results in order.

What belongs elsewhere: what a worker does (`worker.py`).
"""

from __future__ import annotations

import contextlib
import logging
import queue
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, CancelledError, Executor, Future, wait
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from callviz_dagster.engine.worker import Done, TaskContext, run_task, sees
from callviz_dagster.setting_values.bucket_uri import bucket_uri
from callviz_dagster.setting_values.engine_address import LOCAL, is_loopback
from callviz_dagster.settings import Settings
from callviz_dagster.storage.files import write_text

if TYPE_CHECKING:
    from distributed import Client

INSTALL = "CALLVIZ_ENGINE needs the extra `dask`: `pip install 'callviz-dagster[dask]'`"
PACKAGES = ("callviz-dagster", "pymongo", "pyarrow", "pandas")
"""What a worker must have in the driver's version, beside Python, so that the same documents give the same bytes."""
CONNECT_SECONDS = 15
NO_WORKER_SECONDS = 300.0
"""How long to wait for a worker where there is none."""
_LOOK_SECONDS = 0.5

T = TypeVar("T")
R = TypeVar("R")


class EngineError(RuntimeError):
    """The cluster cannot do the work. The message says why, and what to do."""


@contextlib.contextmanager
def opened_cluster(settings: Settings, log: logging.Logger) -> Iterator[Cluster | None]:
    """Connect to the cluster that the settings name, and require of it what the work needs; None for `local`.

    At the end of the `with` block, whatever still runs there for this refresh is cancelled.

    Raises:
        EngineError: Dask is not installed, the scheduler does not answer, an address of the cluster is open to other
            machines without TLS, versions differ, or a worker does not see the data folder.
    """
    if settings.engine == LOCAL:
        yield None
        return
    if not find_spec("distributed"):
        raise EngineError(f"{INSTALL}, on the driver, the scheduler and all workers.")
    with _connected(settings.engine) as client:
        cluster = Cluster(client, log)
        cluster.require_closed(settings.engine)
        cluster.require_workers()
        cluster.require_same_versions()
        if not bucket_uri(settings.data_dir):
            cluster.require_shared(settings.data_dir)
        yield cluster


@contextlib.contextmanager
def _connected(address: str) -> Iterator[Client]:
    from distributed import Client, Security

    security = Security()
    tls = address.startswith("tls:")
    if tls and security.get_connection_args("client").get("ssl_context") is None:
        raise EngineError(
            f"{address} needs certificates: name them in Dask's configuration, for example with "
            "DASK_DISTRIBUTED__COMM__TLS__CA_FILE, DASK_DISTRIBUTED__COMM__TLS__CLIENT__CERT and "
            "DASK_DISTRIBUTED__COMM__TLS__CLIENT__KEY."
        )
    scheduler = f"{'tls' if tls else 'tcp'}://{urlsplit(address).netloc}"
    try:
        client = Client(scheduler, timeout=CONNECT_SECONDS, security=security, set_as_default=False)
    except (OSError, TimeoutError, ValueError, RuntimeError) as error:
        checked = "the address and the certificates" if tls else "the address"
        raise EngineError(
            f"No Dask scheduler answers at {address} ({type(error).__name__}). Check {checked}, and that "
            "`dask scheduler` runs there."
        ) from None
    with client:
        yield client


class Cluster:
    """A Dask cluster that does tasks for one step of a refresh."""

    def __init__(self, client: Client, log: logging.Logger) -> None:
        self._client, self._log = client, log
        self._executor: Executor = client.get_executor(pure=False)
        self._topic = f"callviz-{secrets.token_hex(8)}"
        self._events: queue.SimpleQueue[Mapping[str, Any]] = queue.SimpleQueue()
        client.subscribe_topic(self._topic, lambda event: self._events.put(event[1]))

    def results(self, work: Callable[[T, TaskContext], R], tasks: Mapping[str, T], doing: str) -> list[R]:
        """Do named tasks on the workers, and return their results in the order of the tasks.

        A task whose worker dies is given to another one. Where one fails, or this process is interrupted, the
        others are cancelled.

        Raises:
            EngineError: workers died over a task again and again, or the cluster is gone.
        """
        futures = {self._executor.submit(run_task, work, task, self._topic): name for name, task in tasks.items()}
        try:
            self._log.info(f"{doing}: {len(tasks):,} partitions on {len(self._client.nthreads()):,} workers.")
            self._wait_for(futures, doing)
            return [future.result().result for future in futures]
        finally:
            for future in futures:
                future.cancel()

    def _wait_for(self, futures: Mapping[Future[Done[R]], str], doing: str) -> None:
        """Wait until all tasks are done, and log each; raise the first error."""
        pending, number = {*futures}, 0
        without_worker: float | None = None
        while pending:
            completed, pending = wait(pending, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            self._pass_lines_on()
            for future in completed:
                worker = self._done(future, futures[future]).worker
                number += 1
                self._log.info(f"{doing}: {futures[future]} on worker {worker}, {number:,} of {len(futures):,}.")
            if completed or self._has_workers():
                without_worker = None
            elif without_worker is None:
                without_worker = time.monotonic()
                self._log.warning(
                    f"{doing}: the Dask cluster has no worker left. Start some: the refresh waits "
                    f"{NO_WORKER_SECONDS:.0f} s for one."
                )
            elif time.monotonic() - without_worker > NO_WORKER_SECONDS:
                raise _no_worker()

    def _done(self, future: Future[Done[R]], name: str) -> Done[R]:
        """Return what a task gave; an error of it is logged with its worker."""
        from distributed import KilledWorker

        try:
            return future.result()
        except KilledWorker as error:
            raise EngineError(
                f"Partition {name}: {error.allowed_failures + 1} workers died while they worked on it, the last one at "
                f"{error.last_worker.address}. Look at their logs; most often the memory limit is too low."
            ) from None
        except CancelledError:
            raise EngineError("The Dask scheduler is gone, or has given the work up: refresh again.") from None
        except Exception as error:
            for note in getattr(error, "__notes__", ()):
                self._log.error(f"[{note}] Partition {name} failed.")
            raise

    def _has_workers(self) -> bool:
        try:
            return bool(self._client.scheduler_info()["workers"])
        except (OSError, KeyError):
            return False

    def _pass_lines_on(self) -> None:
        """Log what the workers have said, in the thread that Dagster's log belongs to."""
        with contextlib.suppress(queue.Empty):
            while True:
                event = self._events.get_nowait()
                self._log.log(event["level"], f"[worker {event['name']}] {event['line']}")

    def require_closed(self, address: str) -> None:
        """Require of a cluster without TLS that no other machine reaches it.

        Raises:
            EngineError: the scheduler or a worker listens on an address that others reach.
        """
        if address.startswith("tls:"):
            return
        info = self._client.scheduler_info(n_workers=-1)
        if reachable := open_addresses([info["address"], *info["workers"]]):
            raise EngineError(
                f"The Dask cluster at {address} listens without TLS at {reachable[0]}, where it runs the code of "
                "anyone who reaches it. Start scheduler and workers with --host 127.0.0.1, or use TLS and tls://."
            )

    def require_workers(self) -> None:
        """Wait for the first worker.

        Raises:
            EngineError: none came.
        """
        if self._client.nthreads():
            return
        self._log.info("The Dask cluster has no worker yet: waiting for the first one.")
        try:
            self._client.wait_for_workers(1, timeout=NO_WORKER_SECONDS)
        except TimeoutError:
            raise _no_worker() from None

    def require_same_versions(self) -> None:
        """Require the driver's versions of scheduler and workers.

        Raises:
            EngineError: one has another version; the message says which, and of what.
        """
        versions: Any = self._client.get_versions(packages=PACKAGES)
        others = {"the scheduler": versions["scheduler"]}
        others |= {f"worker {address}": of_worker for address, of_worker in versions["workers"].items()}
        if differences := version_differences(versions["client"], others):
            raise EngineError(
                f"The Dask cluster has other versions than the driver: {'; '.join(differences)}. Install the same ones "
                "everywhere."
            )

    def require_shared(self, data_dir: Path) -> None:
        """Require that all workers see the data folder.

        Raises:
            EngineError: one does not.
        """
        path, content = data_dir.absolute() / f".shared.{self._topic}", self._topic
        write_text(path, content)
        try:
            seen = self._client.run(sees, path, content)
        finally:
            path.unlink(missing_ok=True)
        if blind := [worker for worker, has_seen in seen.items() if not has_seen]:
            raise EngineError(
                f"{len(blind):,} of {len(seen):,} workers do not see the data folder {data_dir.absolute()}, for "
                f"example {blind[0]}. Mount it at the same path on all machines, for the user that the workers run as, "
                "or set CALLVIZ_DATA_DIR to a bucket."
            )


def _no_worker() -> EngineError:
    return EngineError(f"The Dask cluster has had no worker for {NO_WORKER_SECONDS:.0f} s: start some.")


def open_addresses(addresses: Sequence[str]) -> list[str]:
    """Return those addresses of a cluster that other machines reach."""
    return [address for address in addresses if not is_loopback(urlsplit(address).hostname or "")]


def version_differences(driver: Mapping[str, Any], others: Mapping[str, Mapping[str, Any] | None]) -> list[str]:
    """Return how the versions of a cluster's processes differ from the driver's, in words.

    Each has what `distributed.Client.get_versions` says of it; None where it does not answer.
    """
    differences = []
    for process, of_process in others.items():
        for package in ("python", *PACKAGES):
            wanted, there = (
                _version(package, versions["packages"].get(package) if versions else None)
                for versions in (driver, of_process)
            )
            if there != wanted:
                differences.append(f"{process} has {package} {there}, the driver {wanted}")
    return differences


def _version(package: str, version: str | None) -> str:
    """Return a version as it is compared: of Python the minor release."""
    if version is None:
        return "not installed"
    return ".".join(version.split(".")[:2]) if package == "python" else version
