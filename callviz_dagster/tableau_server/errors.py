"""What can go wrong with a Tableau server: the exceptions, and each answer as one sentence, without secrets.

What belongs elsewhere: trying again after an error that passes (`session.py`).
"""

from __future__ import annotations

import html
import json
import re
import ssl
from dataclasses import dataclass
from urllib.parse import quote

from callviz_dagster.settings import Settings

MOST_DETAIL = 300
"""Characters of the server's own text that a message shows."""
EXPIRED = re.compile(r"expire", re.IGNORECASE)
SIGN_IN = "sign in"
_SHORTEST_PART = 8
"""Characters of a part of the secret that is redacted by itself; a shorter one may be part of a word."""


class TableauServerError(RuntimeError):
    """Nothing could be published. The message says why and what to do, without secrets."""


class LostAnswerError(TableauServerError):
    """The server may have done what was asked of it or not: its answer was lost."""


class UnfinishedError(TableauServerError):
    """The server has not published it, and may still do so."""


class RedirectedError(TableauServerError):
    """The address leads to another one, to which no token is sent."""


@dataclass
class LastAnswer:
    """What HTTP says of the last answer; tableauserverclient's exceptions do not have all of it."""

    status: int = 0
    """0 where there was no answer."""
    retry_after: float | None = None
    """Seconds to wait, as the server asks for."""


def site_name(settings: Settings) -> str:
    """Return how messages name the site."""
    return f"the site {settings.tableau_site}" if settings.tableau_site else "the default site"


def redact(text: str, settings: Settings) -> str:
    """Return a text without the token's secret, in any of the forms in which a server or a library may repeat it."""
    secret = settings.tableau_token_secret or ""
    parts = [part for part in secret.split(":") if len(part) >= _SHORTEST_PART]
    encoded = quote(secret, safe="")
    lower = re.sub("%[0-9A-F]{2}", lambda match: match[0].lower(), encoded)
    forms = {secret, encoded, lower, html.escape(secret), json.dumps(secret)[1:-1], *parts}
    for form in sorted(filter(None, forms), key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def is_connection_error(error: BaseException) -> bool:
    """Return whether the connection failed, or the server did not answer in time."""
    import requests

    return isinstance(error, requests.ConnectionError | requests.Timeout | requests.exceptions.ChunkedEncodingError)


def is_html(error: BaseException) -> bool:
    """Return whether the answer was none of Tableau's, such as the page of a proxy."""
    from xml.etree.ElementTree import ParseError

    from tableauserverclient.server.endpoint.exceptions import NonXMLResponseError

    return isinstance(error, ParseError | NonXMLResponseError)


def explain(error: BaseException, answer: LastAnswer, settings: Settings, doing: str) -> TableauServerError:
    """Return an error as a sentence.

    Args:
        error: what tableauserverclient or requests raised.
        answer: what HTTP says of it.
        settings: name the server, the token and the project.
        doing: what was to be done, as an infinitive: `sign in`.
    """
    if isinstance(error, TableauServerError):
        return error
    if answer.status == 0:
        message = _explain_connection(error, settings)
    elif is_html(error) and answer.status not in (413, 429):
        message = (
            f"{settings.tableau_server} did not answer as Tableau does, but with a page of its own: a proxy or its "
            "login may stand before it. Check CALLVIZ_TABLEAU_SERVER and, in the environment, HTTPS_PROXY and NO_PROXY."
        )
    elif answer.status == 401 and doing == SIGN_IN:
        message = _explain_sign_in(error, settings)
    else:
        message = _EXPLAINED.get(answer.status, _OTHER).format(
            doing=doing,
            detail=detail_of(error, settings),
            token=settings.tableau_token_name,
            project=settings.tableau_project,
        )
    if answer.status == 429 and answer.retry_after:
        message += f" The server asks for a pause of {answer.retry_after:.0f} s."
    return TableauServerError(redact(message, settings))


_OTHER = "The Tableau server could not {doing}: {detail}."
_EXPLAINED = {
    401: "The Tableau server ended the session of the token {token} twice: the token is used elsewhere, and each "
    "sign-in with it ends the one before. Make a token for callviz alone ({detail}).",
    403: "The Tableau server does not allow the owner of the token {token} to {doing}: {detail}. The owner needs the "
    "site role Creator, or Explorer (can publish), the capability Publish on the project {project} and, for an item of "
    "that name, Overwrite.",
    409: "The Tableau server could not {doing}, because an item of that name is there that was not made by callviz: "
    "{detail}. Set another CALLVIZ_TABLEAU_NAME, or let callviz overwrite the item once with CALLVIZ_TABLEAU_ADOPT.",
    413: "The file is too large for the Tableau server, or for a proxy before it: {detail}. Publish less: "
    "CALLVIZ_DROP_FIELDS leaves fields out, CALLVIZ_WORKBOOK_SOURCE=hyper makes the workbook smaller; or have the "
    "limit raised.",
    429: "The Tableau server has had too many requests and could not {doing} ({detail}). Refresh less often: raise "
    "CALLVIZ_MIN_REFRESH_SECONDS.",
}
"""By HTTP status."""


def detail_of(error: BaseException, settings: Settings) -> str:
    """Return Tableau's code and text in one line, redacted; for another server's answer, that it is one."""
    from tableauserverclient.server.endpoint.exceptions import InternalServerError, XMLError

    if isinstance(error, XMLError):
        texts = [text for text in (error.summary, error.detail) if text]
        text = f"{error.code}: {'. '.join(dict.fromkeys(texts))}" if error.code else ". ".join(dict.fromkeys(texts))
    elif isinstance(error, InternalServerError):
        text = f"HTTP status {error.code}"
    elif is_html(error):
        text = "the answer was not one of Tableau's"
    else:
        text = str(error) or type(error).__name__
    # Before it is cut: a part of the secret at the end would not be recognized.
    text = redact(" ".join(text.split()).rstrip("."), settings)
    return text if len(text) <= MOST_DETAIL else text[: MOST_DETAIL - 1] + "…"


def _explain_sign_in(error: BaseException, settings: Settings) -> str:
    token, site, detail = settings.tableau_token_name, site_name(settings), detail_of(error, settings)
    if EXPIRED.search(detail):
        return (
            f"The personal access token {token} has expired ({detail}). Make a new one under My Account "
            "Settings on the Tableau server, and set CALLVIZ_TABLEAU_TOKEN_NAME and CALLVIZ_TABLEAU_TOKEN_SECRET."
        )
    return (
        f"The Tableau server did not accept the personal access token {token} for {site} ({detail}). Check "
        "CALLVIZ_TABLEAU_TOKEN_NAME, CALLVIZ_TABLEAU_TOKEN_SECRET and CALLVIZ_TABLEAU_SITE; a token also ends at the "
        "end of its life, after 15 days without use, or when it is revoked: make a new one then."
    )


_CERTIFICATES = (
    ("certificate has expired", "its certificate has expired. Have it renewed on the server"),
    ("mismatch", "its certificate is for another name. Use the name that stands in the certificate"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted. Name the file with the certificates of its "
     "authority in the environment variable REQUESTS_CA_BUNDLE"),
    ("", "it does not answer with TLS. Check the port"),
)  # fmt: skip
"""What an error of TLS contains, and what it means."""


def _explain_connection(error: BaseException, settings: Settings) -> str:
    import requests

    server = settings.tableau_server
    if isinstance(error, requests.exceptions.SSLError | ssl.SSLError):
        meaning = next(meaning for mark, meaning in _CERTIFICATES if mark in str(error))
        return f"No secure connection to {server}: {meaning}."
    if isinstance(error, requests.ReadTimeout):
        return (
            f"{server} did not answer within {settings.tableau_timeout_seconds} s. Refresh again; if its answers take "
            "longer, raise CALLVIZ_TABLEAU_TIMEOUT_SECONDS."
        )
    if isinstance(error, requests.exceptions.ProxyError):
        return f"{server} cannot be reached through the proxy that HTTPS_PROXY names in the environment: check it."
    if is_connection_error(error):
        return (
            f"{server} cannot be reached: {_reason(error)}. Check CALLVIZ_TABLEAU_SERVER, that the server runs, and "
            "that this machine may reach it."
        )
    return f"{server} could not be used: {detail_of(error, settings)}."


def _reason(error: BaseException) -> str:
    text = str(error)
    for mark, reason in (
        ("Name or service not known", "the name of its host cannot be resolved"),
        ("resolve", "the name of its host cannot be resolved"),
        ("refused", "the connection was refused"),
        ("timed out", "the connection timed out"),
    ):
        if mark in text:
            return reason
    return "the connection was lost"
