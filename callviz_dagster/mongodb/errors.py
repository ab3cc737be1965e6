"""What can go wrong with MongoDB: the exceptions, and pymongo's errors as one sentence each, without credentials.

What belongs elsewhere: reading on after an error that passes (`snapshot.py`).
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator

from bson.errors import BSONError
from pymongo.errors import (
    AutoReconnect,
    ConfigurationError,
    CursorNotFound,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)

from callviz_dagster.setting_values.connection_string import parse_connection_string, redact
from callviz_dagster.settings import Settings

UNAUTHORIZED, AUTHENTICATION_FAILED = 13, 18
_USER_NOT_FOUND = 11
"""Of a certificate whose subject is no user."""
REFUSED = {UNAUTHORIZED, AUTHENTICATION_FAILED}
HISTORY_LOST = {9, 136, 234, 260, 280, 286, 40585, 40649, 50811}
"""FailedToParse (the token), CappedPositionLost, RetryChangeStream, InvalidResumeToken, ChangeStreamFatalError,
ChangeStreamHistoryLost and three of resume tokens that have no name."""
SNAPSHOT_GONE = {239, 246}
"""SnapshotTooOld, SnapshotUnavailable."""
_PLAN_KILLED = 175
"""QueryPlanKilled: the index or the collection that a cursor was reading is gone."""
_NOT_READABLE = "Sessions are not supported"
"""What pymongo says of a member that is in transition, for example in rollback, when the connection is made."""
_INDEX_GONE = "hint provided does not correspond to an existing index"
_INTERRUPTED = {
    *(6, 7, 89, 91, 189, 262, 9001, 10107, 11600, 11602, 13435, 13436),  # not primary, shutting down, network
    *(43, 237),  # the cursor is gone: the server restarted or was told to end it
}
"""Codes after which the same read can go on (MongoDB's error_codes.yml: RetriableError, NotPrimaryError)."""


class MongoError(RuntimeError):
    """MongoDB cannot be read. The message says why and what to do, without credentials."""


class ReadLostError(MongoError):
    """A read cannot continue from where it was: it must start again. The message says why."""


class HistoryLostError(MongoError):
    """The changes since the last poll cannot be known. The message says why."""


def passes(error: PyMongoError) -> bool:
    """Return whether the same read may succeed when it is tried again."""
    if isinstance(error, OperationFailure):
        return isinstance(error, CursorNotFound) or error.code in _INTERRUPTED
    return isinstance(error, AutoReconnect)


def reason_of(error: PyMongoError) -> str:
    """Return what pymongo or the server says, on one line, without its repetition of the whole reply."""
    if isinstance(error, OperationFailure) and error.details and "errmsg" in error.details:
        text = str(error.details["errmsg"])
    else:
        text = str(error).split(", full error: ")[0]
    return redact(" ".join(text.split()))


@contextlib.contextmanager
def pymongo_errors_explained(settings: Settings) -> Iterator[None]:
    """Turn pymongo's errors into a `MongoError` of one sentence.

    Raises:
        MongoError: in place of a `PyMongoError`.
    """
    try:
        yield
    except PyMongoError as error:
        raise _explain(error, settings) from None
    except (LookupError, AttributeError, TypeError, BSONError) as error:
        if not _raised_by_pymongo(error):
            raise
        raise not_of_mongodb(f"{type(error).__name__}: {error}") from None


def not_of_mongodb(detail: str) -> MongoError:
    """Return the error about an answer in a form that MongoDB does not give."""
    return MongoError(
        f"The server gave an answer that pymongo cannot read ({detail}). callviz was tried with MongoDB's own servers; "
        "another product may lack what it needs."
    )


def _raised_by_pymongo(error: BaseException) -> bool:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return bool(frames) and frames[-1].f_globals.get("__name__", "").partition(".")[0] in ("pymongo", "bson")


def _explain(error: PyMongoError, settings: Settings) -> MongoError:
    if isinstance(error, ServerSelectionTimeoutError):
        return _explain_unreachable(error, settings)
    if isinstance(error, NetworkTimeout):
        return MongoError(
            f"The connection to MongoDB was established but the server stopped responding: {reason_of(error)}. Refresh "
            "again; if its answers take longer, set socketTimeoutMS in CALLVIZ_MONGO_URI."
        )
    if isinstance(error, OperationFailure):
        return _explain_refusal(error, settings)
    if isinstance(error, ConfigurationError):
        return _explain_configuration(error, settings)
    return MongoError(f"MongoDB could not be read: {reason_of(error)}.")


_CLOSED = ("connection closed", "Connection reset", "UNEXPECTED_EOF")
_UNREACHABLE = (
    (("Hostname mismatch", "IP address mismatch"), "its certificate is for another name. Use the name that stands in "
     "the certificate as the host in CALLVIZ_MONGO_URI"),
    (("certificate has expired",), "its certificate has expired. Renew it on the server"),
    (("CERTIFICATE_VERIFY_FAILED",), "its certificate is not trusted. Name the file with the certificates of its "
     "authority with tlsCAFile in CALLVIZ_MONGO_URI"),
    (("SSL",), "it does not answer with TLS. Leave tls=true out of CALLVIZ_MONGO_URI, or check the port"),
    (("for replica set name",), "no server there is a member of the replica set that replicaSet in CALLVIZ_MONGO_URI "
     "names. Correct the name or leave it out"),
    (('match selector "Primary()"',), "the replica set has no primary at present: its members are electing one, or too "
     "few of them are running. Refresh again, or check the members"),
    (("match selector",), "no member of the replica set is one that readPreference in CALLVIZ_MONGO_URI asks for. Use "
     "secondaryPreferred instead of secondary, or leave it out"),
    (("not known", "nodename nor servname", "getaddrinfo", "idna", "name resolution"), "the name of the host cannot be "
     "resolved. Check it in CALLVIZ_MONGO_URI, and the name server of this machine"),
)  # fmt: skip
"""What pymongo's words contain, and what they mean."""


def _explain_unreachable(error: ServerSelectionTimeoutError, settings: Settings) -> MongoError:
    detail = reason_of(error).split(", Timeout:")[0].split(" (configured timeouts")[0]
    options = parse_connection_string(settings.require_mongo_uri()).options
    if any(phrase in detail for phrase in _CLOSED):
        if not options.get("tls"):
            remedy = "If the server requires TLS, add tls=true to CALLVIZ_MONGO_URI, and tlsCAFile if needed"
        elif "UNEXPECTED_EOF" in detail:
            remedy = "If the server does not use TLS, leave tls=true out of CALLVIZ_MONGO_URI"
        else:
            remedy = "If the server requires a certificate of the client, name its file with tlsCertificateKeyFile"
        return MongoError(f"MongoDB closed the connection ({detail}). {remedy}; else check host and port.")
    for phrases, meaning in _UNREACHABLE:
        if any(phrase in detail for phrase in phrases):
            return MongoError(f"MongoDB cannot be reached: {meaning} ({detail}).")
    return MongoError(
        f"MongoDB did not answer: {detail}. Check the host and port in CALLVIZ_MONGO_URI, that the server runs, and "
        "that this machine may reach it."
    )


def _explain_refusal(error: OperationFailure, settings: Settings) -> MongoError:
    calls = f"{settings.database}.{settings.mongo_collection}"
    if error.code in (AUTHENTICATION_FAILED, _USER_NOT_FOUND):
        return MongoError(
            "MongoDB refused the user name or password in CALLVIZ_MONGO_URI. Check both, that special characters are "
            "percent-encoded, and authSource; with authMechanism=MONGODB-X509, also that tlsCertificateKeyFile names a "
            "certificate and that its subject is a user of the database $external."
        )
    if error.code == UNAUTHORIZED:
        return MongoError(
            f"The user in CALLVIZ_MONGO_URI may not read {calls}. Check CALLVIZ_MONGO_DATABASE and "
            f"CALLVIZ_MONGO_COLLECTION, or grant the user the role read on {settings.database}."
        )
    if error.code in SNAPSHOT_GONE:
        return ReadLostError(
            "MongoDB no longer keeps the snapshot that was being read. Refresh again; for collections that take long "
            "to read, raise minSnapshotHistoryWindowInSeconds on the server."
        )
    if error.code == _PLAN_KILLED or _INDEX_GONE in str(error):
        return ReadLostError(f"An index of {calls} was dropped, or {calls} itself, while it was read.")
    return MongoError(f"MongoDB could not be read: {reason_of(error)}.")


def _explain_configuration(error: ConfigurationError, settings: Settings) -> MongoError:
    """Explain what pymongo only notices when it connects; its words may show parts of the connection string."""
    if _NOT_READABLE in str(error):
        return ReadLostError("A member of the replica set was neither primary nor secondary when it answered.")
    options = parse_connection_string(settings.require_mongo_uri())
    if options.srv:
        return MongoError(
            "The host of mongodb+srv:// in CALLVIZ_MONGO_URI cannot be resolved: no SRV record was found. Check the "
            "host and the name server of this machine, or use mongodb:// with the hosts themselves."
        )
    if options.options.get("authmechanism") or "certificate" in str(error).lower():
        return MongoError(
            "The credentials in CALLVIZ_MONGO_URI cannot be used: check authMechanism, and that tlsCertificateKeyFile "
            "names a file with a certificate and its private key."
        )
    return MongoError("The server is too old or too new for this pymongo, or CALLVIZ_MONGO_URI does not fit to it.")
