"""A client's context takes renewed files with the next connection, and keeps what it has while they are no good."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from cryptography import x509

from hub.adapters.pki import Authority
from hub.adapters.tls import TlsFileInvalid, client_context, load_certificate


@asynccontextmanager
async def server(authority: Authority, folder: Path) -> AsyncIterator[tuple[int, list[int]]]:
    """A TLS server that wants a client's certificate; gives its port and the serial numbers that it was shown."""
    files = authority.issue_node("node-1", folder, hosts=["127.0.0.1"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    shown: list[int] = []

    async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        shown.append(x509.load_der_x509_certificate(der).serial_number)
        writer.write(b"x")
        await writer.drain()
        writer.close()

    listener = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listener:
        yield listener.sockets[0].getsockname()[1], shown


async def connect(port: int, context: ssl.SSLContext) -> None:
    async with asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        assert await reader.read(1) == b"x"
        writer.close()


async def test_a_renewed_certificate_is_shown_by_the_next_connection(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path / "ca")
    files = authority.issue_client("ATF", tmp_path / "client")
    async with server(authority, tmp_path / "node") as (port, shown):
        context = client_context(files)
        await connect(port, context)
        await connect(port, context)
        first = load_certificate(files.certificate).serial_number
        authority.issue_client("ATF", tmp_path / "client")
        await connect(port, context)
        second = load_certificate(files.certificate).serial_number
        assert shown == [first, first, second]
        assert first != second


@pytest.mark.parametrize("damage", ["half a renewal", "no certificate", "gone", "open to others"])
async def test_files_that_are_no_good_leave_the_old_ones_in_use(tmp_path: Path, damage: str) -> None:
    authority = Authority.create(tmp_path / "ca")
    files = authority.issue_client("ATF", tmp_path / "client")
    other = authority.issue_client("ATF", tmp_path / "other")
    async with server(authority, tmp_path / "node") as (port, shown):
        context = client_context(files)
        before = load_certificate(files.certificate).serial_number
        match damage:
            case "half a renewal":
                files.certificate.write_bytes(other.certificate.read_bytes())
            case "no certificate":
                files.certificate.write_text("nonsense")
            case "gone":
                files.certificate.unlink()
            case _:
                files.key.chmod(0o644)
                files.key.write_bytes(files.key.read_bytes())
        await connect(port, context)
        authority.issue_client("ATF", tmp_path / "client")
        await connect(port, context)
        assert shown == [before, load_certificate(files.certificate).serial_number]
        assert shown[0] != shown[1]


async def test_a_new_authority_in_the_file_is_trusted_and_the_old_one_no_more(tmp_path: Path) -> None:
    old, new = Authority.create(tmp_path / "old"), Authority.create(tmp_path / "new")
    files = old.issue_client("ATF", tmp_path / "client")
    async with server(old, tmp_path / "node") as (port, _):
        context = client_context(files)
        await connect(port, context)
        files.ca.write_bytes(new.ca.read_bytes())
        with pytest.raises(ssl.SSLCertVerificationError):
            await connect(port, context)


def test_files_that_are_no_good_from_the_start_are_refused(tmp_path: Path) -> None:
    files = Authority.create(tmp_path / "ca").issue_client("ATF", tmp_path / "client")
    files.certificate.write_text("nonsense")
    with pytest.raises(TlsFileInvalid):
        client_context(files)
