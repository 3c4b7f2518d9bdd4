"""``hub broker issue-node``: the certificate of a broker's node in a deployment that starts its own nodes."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command("issue-node")
@click.argument("name")
@click.option(
    "--host", "hosts", multiple=True, required=True, help="A name or address that clients reach it by; may repeat."
)
@click.option(
    "--authority", required=True, type=click.Path(path_type=Path, file_okay=False), help="Folder of the operator's CA."
)
@click.option(
    "--out", required=True, type=click.Path(path_type=Path, file_okay=False), help="Where to write its files; new."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def issue_node(name: str, hosts: tuple[str, ...], authority: Path, out: Path, as_json: bool) -> None:
    """Make key and certificate of the node NAME, for itself under every --host and towards other nodes.

    Beside ca.pem, tls.pem and tls.key there is keystore.pem: both in one file, as Kafka's PEM keystore wants them.
    """
    from hub.adapters.key_files import write_secret
    from hub.adapters.pki import Authority
    from hub.adapters.tls import certificate_expiry_ms

    files = Authority.load_or_create(authority).issue_node(name, out, hosts=hosts)
    keystore = out / "keystore.pem"
    write_secret(keystore, files.key.read_bytes() + files.certificate.read_bytes())
    facts = {
        "certificate": str(files.certificate),
        "keystore": str(keystore),
        "hosts": list(hosts),
        "expires_at_ms": certificate_expiry_ms(files.certificate),
    }
    click.echo(
        json.dumps(facts) if as_json else f"{out}: keystore.pem, tls.pem, tls.key, ca.pem for {', '.join(hosts)}"
    )
