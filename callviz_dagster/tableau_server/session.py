"""A session on a Tableau server: sign-in with a personal access token, time-outs, and requests tried again.

What belongs elsewhere: which requests are made (`content.py`, `upload.py`, `validation.py`), and what errors mean
(`errors.py`).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import email.utils
import logging
import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, TypeVar

from callviz_dagster.settings import Settings
from callviz_dagster.storage.lock import one_at_a_time
from callviz_dagster.tableau_server.errors import (
    SIGN_IN,
    LastAnswer,
    LostAnswerError,
    RedirectedError,
    TableauServerError,
    explain,
    is_connection_error,
    is_html,
)

if TYPE_CHECKING:
    import requests
    import tableauserverclient as TSC

T = TypeVar("T")
Pause = Callable[[float], None]
"""Waits for a number of seconds."""

_LOCK = ".tableau_server.lock"
PAUSES = (2.0, 8.0, 32.0)
"""Seconds before a request is tried again."""
OLDEST_VERSION = (3, 6)
"""The REST API of Tableau Server 2019.4, the first with personal access tokens."""
VALIDATION_VERSION = (3, 29)
"""The first REST API that validates workbooks."""
_CONNECT_SECONDS = 10.0
_MOST_WAITED = 600.0
"""A server that asks for a longer pause is not waited for, in seconds."""
_PASSING = (429, 502, 503, 504)
_UNAUTHORIZED, _NOT_FOUND = 401, 404


@contextlib.contextmanager
def token_lock(settings: Settings, log: logging.Logger) -> Iterator[None]:
    """Hold the lock of the token: a second sign-in with it would end the first session.

    Raises:
        BusyError: another process holds it for too long.
        FileError: the data folder cannot be written to, or the lock file belongs to another user.
    """
    with one_at_a_time(
        settings.data_dir,
        log,
        wait_seconds=10.0 * settings.tableau_timeout_seconds,
        file=_LOCK,
        work="publishing to the Tableau server",
    ):
        yield


class TableauSession:
    """Requests on a Tableau server, signed in as the owner of the token.

    Errors that pass are tried again; a session that the server ended is opened again once.
    """

    def __init__(self, settings: Settings, log: logging.Logger, pause: Pause = time.sleep) -> None:
        import tableauserverclient as TSC

        library_log = logging.getLogger("TSC")
        if not library_log.handlers:
            # Without a handler, what the library logs would go to the standard error stream.
            library_log.addHandler(logging.NullHandler())
        self.settings = settings
        self.log = log
        self.pause = pause
        self.answer = LastAnswer()
        self.server: TSC.Server = TSC.Server(
            settings.tableau_server,
            http_options={"timeout": (_CONNECT_SECONDS, settings.tableau_timeout_seconds)},
            session_factory=self._http_session,
        )
        self._signed_in = False
        self._signed_in_again = False

    def _http_session(self) -> requests.Session:
        import requests

        session = requests.Session()
        # A proxy that the environment names is for other machines; a token sent to it over http could be read there.
        session.trust_env = str(self.settings.tableau_server).startswith("https:")
        session.hooks["response"].append(self._look_at)
        return session

    def _look_at(self, response: requests.Response, *_given: Any, **_named: Any) -> None:
        """Keep what tableauserverclient's exceptions do not have; follow no redirect, for a token would go along.

        A page in place of an answer may be well-formed, and would then be read as an empty list.
        """
        self.answer = LastAnswer(response.status_code, _seconds(response.headers.get("Retry-After", "")))
        if response.is_redirect:
            raise RedirectedError(
                f"{self.settings.tableau_server} redirects to {_address(response)}, and no token is sent on to another "
                "address: set CALLVIZ_TABLEAU_SERVER to the one that Tableau itself has."
            )
        if response.ok and "html" in response.headers.get("Content-Type", ""):
            raise _not_xml()

    @property
    def version(self) -> tuple[int, ...]:
        """The version of the server's REST API."""
        return tuple(int(number) for number in self.server.version.split("."))

    @property
    def user_id(self) -> str:
        """LUID of the token's owner."""
        return str(self.server.user_id)

    def check_server(self) -> None:
        """Ask the server for its version, and use it.

        Raises:
            TableauServerError: no Tableau server answers there, or one that is too old.
        """
        info = self.call("say which version it is", self.server.server_info.get)
        if info is None or not re.fullmatch(r"\d+\.\d+", info.rest_api_version or ""):
            raise explain(_not_xml(), self.answer, self.settings, SIGN_IN)
        self.server.version = info.rest_api_version
        if self.version < OLDEST_VERSION:
            raise TableauServerError(
                f"{self.settings.tableau_server} is Tableau Server {info.product_version}, which is too old: personal "
                "access tokens need Tableau Server 2019.4 (REST API 3.6) or newer."
            )

    def sign_in(self) -> None:
        """Sign in with the token.

        Raises:
            TableauServerError: the server does not accept it.
        """
        import tableauserverclient as TSC

        settings = self.settings
        token = TSC.PersonalAccessTokenAuth(
            settings.tableau_token_name or "", settings.tableau_token_secret or "", settings.tableau_site
        )
        self._signed_in = False
        self.call(SIGN_IN, lambda: self.server.auth.sign_in(token))
        self._signed_in = True

    def sign_out(self) -> None:
        """End the session; one that cannot be ended is left to its own end."""
        with contextlib.suppress(Exception):
            self.server.auth.sign_out()
        self.server.close()

    def call(self, doing: str, request: Callable[[], T]) -> T:
        """Make a request that changes nothing if it is made twice.

        Args:
            doing: what the server is to do, as an infinitive, for messages.
            request: makes it.

        Raises:
            TableauServerError: it failed, also when it was tried again.
        """
        return self._call(doing, request, commits=False)

    def look_up(self, doing: str, request: Callable[[], T]) -> T | None:
        """Make a request for one object; return None where there is none."""
        try:
            return self.call(doing, request)
        except TableauServerError:
            if self.answer.status == _NOT_FOUND:
                return None
            raise

    def commit(self, doing: str, request: Callable[[], T]) -> T:
        """Make a request that changes something each time it is made.

        Raises:
            LostAnswerError: it may have been done or not.
            TableauServerError: it was refused.
        """
        return self._call(doing, request, commits=True)

    def _call(self, doing: str, request: Callable[[], T], *, commits: bool) -> T:
        pauses = list(PAUSES)
        while True:
            self.answer = LastAnswer()
            try:
                return request()
            except TableauServerError:
                raise
            except Exception as error:  # noqa: BLE001  # the libraries raise errors of a dozen unrelated classes
                wait = self._wait_before_retry(error, doing, pauses, commits=commits)
            if wait:
                self.pause(wait)

    def _wait_before_retry(self, error: Exception, doing: str, pauses: list[float], *, commits: bool) -> float:
        """Return the seconds to wait before a request is made again, once the session is open again.

        Raises:
            LostAnswerError: it changes something, and may have been done.
            TableauServerError: it is not made again.
        """
        if is_connection_error(error):
            # The answer that is kept is that of a request before.
            self.answer = LastAnswer()
        failure = explain(error, self.answer, self.settings, doing)
        if commits and self._is_lost(error):
            raise LostAnswerError(str(failure)) from None
        if self.answer.status == _UNAUTHORIZED and self._signed_in and not self._signed_in_again:
            self._sign_in_again()
            return 0
        wait = max(pauses.pop(0), self.answer.retry_after or 0) if pauses and self._passes(error) else None
        if wait is None or wait > _MOST_WAITED:
            raise failure from None
        self.log.info(f"Tried again in {wait:.0f} s: {failure}")
        return wait

    def _passes(self, error: Exception) -> bool:
        if self.answer.status:
            return self.answer.status in _PASSING
        return is_connection_error(error) and not _is_refused_by_tls(error)

    def _is_lost(self, error: Exception) -> bool:
        """Return whether the server may have done what it was asked, though its answer says nothing of it."""
        status = self.answer.status
        return is_connection_error(error) if status == 0 else status >= 500 or (is_html(error) and status < 400)

    def _sign_in_again(self) -> None:
        self._signed_in_again = True
        self.log.info("The Tableau server ended the session: signing in once more.")
        self.sign_in()


@contextlib.contextmanager
def signed_in(settings: Settings, log: logging.Logger, pause: Pause = time.sleep) -> Iterator[TableauSession]:
    """Give a session on the server that the settings name.

    Raises:
        TableauServerError: no Tableau server answers there, it is too old, or it does not accept the token.
    """
    session = TableauSession(settings, log, pause)
    try:
        session.check_server()
        session.sign_in()
        yield session
    finally:
        session.sign_out()


def _is_refused_by_tls(error: Exception) -> bool:
    import requests

    return isinstance(error, requests.exceptions.SSLError)


def _not_xml() -> Exception:
    from tableauserverclient.server.endpoint.exceptions import NonXMLResponseError

    return NonXMLResponseError("not an answer of Tableau's")


def _seconds(text: str) -> float | None:
    """Return the seconds of a Retry-After header, which holds a number or a date; None where it holds neither."""
    if text.strip().isdecimal():
        return float(text)
    try:
        date = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return None
    return max(0.0, (date - dt.datetime.now(dt.UTC)).total_seconds()) if date.tzinfo else None


def _address(response: requests.Response) -> str:
    from urllib.parse import urljoin, urlsplit

    target = urlsplit(urljoin(response.url, response.headers["Location"]))
    return f"{target.scheme}://{target.hostname}{f':{target.port}' if target.port else ''}"
