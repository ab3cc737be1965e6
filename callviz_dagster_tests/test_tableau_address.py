"""The settings of a Tableau server: only addresses, names and identifiers that can be used are taken."""

from __future__ import annotations

import pytest

from callviz_dagster.settings import MissingSettingError, Settings, SettingsError
from callviz_dagster_tests.helpers.tableau_server import SECRET

REQUIRED = {
    "CALLVIZ_TABLEAU_SERVER": "https://tableau.example.com",
    "CALLVIZ_TABLEAU_PROJECT": "Operations/Calls",
    "CALLVIZ_TABLEAU_TOKEN_NAME": "callviz",
    "CALLVIZ_TABLEAU_TOKEN_SECRET": SECRET,
}


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("https://10ax.online.tableau.com", "https://10ax.online.tableau.com"),
        ("https://tableau.example.com:8443/", "https://tableau.example.com:8443"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://localhost", "http://localhost"),
        ("http://[::1]", "http://[::1]"),
    ],
)
def test_an_address_is_taken(given: str, address: str) -> None:
    assert Settings.load({**REQUIRED, "CALLVIZ_TABLEAU_SERVER": given}).tableau_server == address


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("http://tableau.example.com", "an https address: over http, the token could be read on its way"),
        ("http://127.0.0.1.example.com", "an https address"),
        ("tableau.example.com", "scheme, host and port, for example https://10ax.online.tableau.com"),
        ("https://tableau.example.com/#/site/marketing", "scheme, host and port"),
        ("https://tableau.example.com/api", "scheme, host and port"),
        ("https://me:Sup3rS3cret@tableau.example.com", "its value is not allowed"),
        ("https://tableau.example.com:99999", "scheme, host and port"),
        ("https://", "scheme, host and port"),
        ("ftp://tableau.example.com", "scheme, host and port"),
    ],
)
def test_an_address_over_which_a_token_must_not_go_is_refused(given: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load({**REQUIRED, "CALLVIZ_TABLEAU_SERVER": given})
    assert expected in str(caught.value)
    assert "Sup3rS3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("SITE", "site/marketing", "the part of the site's address after /site/"),
        ("NAME", "calls, daily", "without / \\ & , and :"),
        ("NAME", "Operations/calls", "without / \\ & , and :"),
        ("ADOPT", "callviz", "one or two LUIDs"),
        ("PUBLISH", "everything", "one of workbook, datasource, both"),
        ("TIMEOUT_SECONDS", "0", "a whole number from 1"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused(name: str, value: str, expected: str) -> None:
    with pytest.raises(SettingsError) as caught:
        Settings.load({**REQUIRED, f"CALLVIZ_TABLEAU_{name}": value})
    assert expected in str(caught.value)


@pytest.mark.parametrize("missing", ["PROJECT", "TOKEN_NAME", "TOKEN_SECRET"])
def test_a_server_without_what_it_needs_says_so(missing: str) -> None:
    environment = {name: value for name, value in REQUIRED.items() if not name.endswith(missing)}
    with pytest.raises(MissingSettingError, match=f"CALLVIZ_TABLEAU_SERVER needs CALLVIZ_TABLEAU_{missing}: "):
        Settings.load(environment)


def test_luids_and_content() -> None:
    luid = "1F2F3E4E-5D6D-7C8C-9B0B-1A2A3F4F5E6E"
    settings = Settings.load(
        {**REQUIRED, "CALLVIZ_TABLEAU_ADOPT": f"{luid}, {luid}", "CALLVIZ_TABLEAU_PUBLISH": "both"}
    )
    assert settings.tableau_adopt == (luid.lower(), luid.lower())
    assert settings.tableau_content == {"workbook", "datasource"}
    assert Settings.load(REQUIRED).tableau_content == {"workbook"}
    assert Settings().tableau_content == frozenset()
    assert SECRET not in repr(settings)
