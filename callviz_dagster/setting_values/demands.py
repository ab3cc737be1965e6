"""What one setting demands of another, as sentences. What belongs elsewhere: when they are said (`settings.py`)."""

from __future__ import annotations

from collections.abc import Sequence

MONGO_URI = (
    "CALLVIZ_MONGO_URI is not set: set it to your MongoDB connection string, for example "
    "mongodb://127.0.0.1:27017/mydatabase, in the environment or in a .env file, or run `callviz demo` "
    "to try callviz on sample calls."
)
PSEUDONYM_KEY = (
    "CALLVIZ_PSEUDONYMIZE needs CALLVIZ_PSEUDONYM_KEY, a secret of at least 32 bytes: make one with "
    '`python -c "import secrets; print(secrets.token_hex(32))"` and keep it: the same key '
    "gives the same tokens."
)
ALERT_SMTP = "CALLVIZ_ALERT_TO needs CALLVIZ_ALERT_SMTP, for example smtps://user:password@mail.example.com."


def tableau_server(missing: Sequence[str]) -> str:
    """Return which settings of a Tableau server are missing."""
    return (
        f"CALLVIZ_TABLEAU_SERVER needs {' and '.join(missing)}: the path of the project, and the name and the "
        "secret of a personal access token, which My Account Settings on the Tableau server makes."
    )
