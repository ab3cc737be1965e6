"""Servers that require TLS, and connection strings that name no server: one sentence, with the remedy."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import dns.resolver
import pytest

from callviz_dagster.demo.mongod import Server, find_mongod
from callviz_dagster.mongodb.connection import MongoDB, unreadable_file
from callviz_dagster.mongodb.errors import MongoError
from callviz_dagster.settings import Settings
from callviz_dagster_tests.helpers.certificate import certificate

pytestmark = pytest.mark.server


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the certificate of the server, which is its authority, too."""
    return certificate(tmp_path_factory.mktemp("certificate") / "server.pem")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory, pem: Path) -> Iterator[int]:
    """Give the port of a server that requires TLS."""
    folder = tmp_path_factory.mktemp("tls")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ["--tlsMode", "requireTLS", "--tlsCertificateKeyFile", str(pem), "--tlsCAFile", str(pem)]
    options += ["--tlsAllowConnectionsWithoutCertificates", "--nounixsocket", "--quiet"]
    command = [str(find_mongod()), "--bind_ip", "127.0.0.1", "--port", str(port), "--dbpath", str(folder), *options]
    server = Server(folder, port, f"mongodb://127.0.0.1:{port}/", command)
    server.start()
    yield port
    server.stop()


def error(uri: str) -> str:
    """Return why a server cannot be reached."""
    with pytest.raises(MongoError) as caught, MongoDB(Settings(mongo_uri=uri)).collection():
        pass
    return str(caught.value)


QUICK = "serverSelectionTimeoutMS=700"


def test_the_file_of_the_authority_is_enough(port: int, pem: Path) -> None:
    with MongoDB(Settings(mongo_uri=f"mongodb://127.0.0.1:{port}/?tls=true&tlsCAFile={pem}")).collection() as calls:
        assert calls.estimated_document_count() == 0


@pytest.mark.each_case
@pytest.mark.parametrize(
    ("uri", "remedy"),
    [
        ("mongodb://127.0.0.1:{port}/?appName=x", "add tls=true to CALLVIZ_MONGO_URI, and tlsCAFile"),
        ("mongodb://127.0.0.1:{port}/?tls=true", "its certificate is not trusted. Name the file"),
        ("mongodb://localhost:{port}/?tls=true&tlsCAFile={pem}", "its certificate is for another name"),
        ("mongodb://127.0.0.1:{port}/?tls=true&tlsCAFile=/nowhere/ca.pem", "with tlsCAFile, cannot be read: /nowhere/"),
        (
            "mongodb://127.0.0.1:{port}/?tls=true&tlsCAFile={pem}&tlsCertificateKeyFile=/nowhere/me.pem",
            "A file that CALLVIZ_MONGO_URI names",
        ),
        (
            "mongodb://127.0.0.1:{port}/?tls=true&tlsCAFile={pem}&authMechanism=MONGODB-X509",
            "tlsCertificateKeyFile names",
        ),
    ],
    ids=["no tls", "not trusted", "another name", "no authority", "no certificate", "x509 without a certificate"],
)
def test_a_mistake_about_tls_is_named_with_its_remedy(port: int, pem: Path, uri: str, remedy: str) -> None:
    assert remedy in error(f"{uri.format(port=port, pem=pem)}&{QUICK}")


def test_tls_where_the_server_has_none(standalone_uri: str) -> None:
    assert "leave tls=true out" in error(f"{standalone_uri}?tls=true&{QUICK}").lower()


def test_a_secondary_is_asked_for_and_there_is_none(mongo_uri: str) -> None:
    message = error(f"{mongo_uri}&readPreference=secondary&{QUICK}")
    assert "secondaryPreferred instead of secondary" in message


def test_an_srv_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> None:
        """Answer at once, for a name server takes its time."""
        raise dns.resolver.NXDOMAIN

    monkeypatch.setattr(dns.resolver, "resolve", resolve)
    assert "no SRV record" in error("mongodb+srv://reader:s3cret@calls.example.invalid/shop")


@pytest.mark.each_case
@pytest.mark.parametrize("option", ["tlsCAFile", "tlscafile", "tlsCertificateKeyFile", "tlsCRLFile"])
def test_the_file_that_cannot_be_read_is_known_from_the_connection_string(option: str) -> None:
    assert unreadable_file(f"mongodb://host/?tls=true&{option}=/nowhere/a%20b.pem&appName=x") == "/nowhere/a b.pem"
