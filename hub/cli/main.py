"""The command ``hub``: its groups, loaded when they are called; the one place where an error becomes a line and a code.

Exit codes (docs/guides/operate.md): 0 all well; 1 some of it was rejected; 2 a setting, a file or the command line is
wrong; 3 something outside is not there now; 4 our own bug.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Final

import click

from hub.errors import ConfigError, HubError, InvariantError, RejectedError, UnavailableError

UNSAFE_TRACEBACK: Final = "CGI_HUB_UNSAFE_TRACEBACK"
"""Set to 1, an error that is our bug is shown with its own text, which may hold content of an event."""

EXIT_OK: Final = 0
EXIT_REJECTED: Final = 1
EXIT_CONFIG: Final = 2
EXIT_UNAVAILABLE: Final = 3
EXIT_INVARIANT: Final = 4
EXIT_INTERRUPTED: Final = 130

GROUPS: Final[dict[str, tuple[str, str]]] = {
    "agency": ("hub.cli.agency", "An agency's own keys: make them, enrol, see what expires, replace and destroy them."),
    "agreement": ("hub.cli.agreement", "What two agencies agree on: draft, check, show, compare, sign."),
    "broker": (
        "hub.cli.broker",
        "The Kafka that carries it: topics, permissions and quotas by plan and apply; certificates; a local node.",
    ),
    "catalog": ("hub.cli.catalog", "Event types: show, check, render."),
    "console": ("hub.cli.console", "The operators' web console, and its audit log."),
    "directory": ("hub.cli.directory", "Who is who: agencies, keys and agreements, signed by the custodians."),
    "exporter": ("hub.cli.exporter", "Serve the broker's figures to Prometheus: lag, partitions, disks."),
    "keys": ("hub.cli.keys", "Make and show keys."),
    "policy": ("hub.cli.policy", "Who may get what: check the rules, explain a decision."),
    "publish": ("hub.cli.publish", "Publish the events of one file."),
    "router": ("hub.cli.router", "Run the hub's router; stubs of what was not delivered."),
    "status": ("hub.cli.status", "What the console shows, in a terminal."),
    "site": ("hub.cli.site", "Run an agency's site: its sources and sinks."),
}
"""Each group's module (with a click command named ``cli``) and its line in ``hub --help``, which imports none."""


class LazyGroup(click.Group):
    """A group whose commands are imported when one of them is called, so that ``hub --help`` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in GROUPS:
            return None
        command = importlib.import_module(GROUPS[cmd_name][0]).cli
        if not isinstance(command, click.Command):
            raise InvariantError("the module has no click command named cli", module=GROUPS[cmd_name][0])
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in sorted(GROUPS.items())])


def _show_version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value:
        from importlib.metadata import version

        click.echo(f"hub {version('cgi-hub')}")
        ctx.exit()


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version, help="Show the version."
)
def root() -> None:
    """Share crime-gun intelligence between agencies: sealed at the publisher, opened at the recipient."""


def exit_code(error: HubError) -> int:
    """The exit code of an error, by its branch."""
    match error:
        case ConfigError():
            return EXIT_CONFIG
        case RejectedError():
            return EXIT_REJECTED
        case UnavailableError():
            return EXIT_UNAVAILABLE
        case _:
            return EXIT_INVARIANT


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The errors in an exception group, however deep; an error that is no group is its own leaf."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error


def report(error: BaseException) -> int:
    """Say on standard error what went wrong, one line for each cause; give the exit code of the worst."""
    worst = EXIT_OK
    for leaf in leaves(error):
        if isinstance(leaf, HubError):
            click.echo(f"error: {leaf.diagnostics()}", err=True)
            worst = max(worst, exit_code(leaf))
        else:
            click.echo(_traceback(leaf), err=True, nl=False)
            click.echo("error: this is a bug of cgi-hub; please report the lines above", err=True)
            worst = EXIT_INVARIANT
    return worst


def _traceback(error: BaseException) -> str:
    """Without the errors' own texts, which may quote what was read; with them only where somebody asks for them."""
    if os.environ.get(UNSAFE_TRACEBACK) == "1":
        return "".join(traceback.format_exception(error))
    from hub.stacks import bare_traceback

    return bare_traceback(error)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (``sys.argv`` without one) and give its exit code. Nothing is raised."""
    try:
        result = root.main(args=arguments, prog_name="hub", standalone_mode=False)
    except click.exceptions.Abort:
        return EXIT_INTERRUPTED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except click.ClickException as error:
        error.show()
        return EXIT_CONFIG
    except BrokenPipeError:
        return EXIT_REJECTED
    except Exception as error:  # noqa: BLE001  the outermost place: whatever comes becomes a message and a code
        return report(error)
    return result if isinstance(result, int) else EXIT_OK


def main() -> None:
    """The entry point."""
    sys.exit(run())
