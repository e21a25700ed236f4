"""The command line: a function per command; exit status 0 done, 1 failed, 2 bad input, errors as one clean message."""

from __future__ import annotations

import errno
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from cli import cm5, forwarded, notes, recover
from cli.errors import CommandError, InputError
from cli.options import JsonOption, StackOption
from cli.reporting import report
from sandbox.errors import SandboxError
from toolchain import ToolError

app = typer.Typer(
    help="Install, run, protect and recover a small real infrastructure with Pulumi.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
sandbox_app = typer.Typer(help="The embedded backends of the sandbox stack.", no_args_is_help=True)
doctor_app = typer.Typer(invoke_without_command=True)
config_app = typer.Typer(help="The stacks' configuration files.", no_args_is_help=True)
app.add_typer(sandbox_app, name="sandbox")
app.add_typer(config_app, name="config")
app.add_typer(doctor_app, name="doctor")
app.add_typer(recover.app, name="recover")
app.add_typer(notes.app, name="notes")
app.add_typer(cm5.app, name="cm5")
host_key_app = typer.Typer(help="The keys of machines that are reached over SSH.", no_args_is_help=True)
app.add_typer(host_key_app, name="host-key")

YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
OnlyOption = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="SECTION", help="One section alone; what it needs must be there already."),
]
AdoptOption = Annotated[
    Path | None, typer.Option("--adopt", metavar="FILE", help="Take over the objects of an import file.")
]
_FORWARD = {"allow_extra_args": True, "ignore_unknown_options": True}


@app.command(context_settings=_FORWARD)
def up(
    context: typer.Context,
    stack: StackOption = None,
    only: OnlyOption = None,
    yes: YesOption = False,
    adopt: AdoptOption = None,
) -> None:
    """Bring a stack up. Further options (--target, --diff, --json, ...) go to `pulumi up`."""
    from cli import stack as stacks
    from cli.forks import forks

    words, section = forwarded.options(context.args), _section(only)
    chosen = stacks.select(stack)
    with forks(chosen) as forked:  # begins with its own imports while the rest of this command is imported here
        from cli import lifecycle
        from cli.adoption import read_import_file

        adopted = read_import_file(chosen, adopt) if adopt else []
        status = lifecycle.up(chosen, section, words, forked, yes=yes, adopted=adopted, report=report)
    raise typer.Exit(status)


@app.command(context_settings=_FORWARD)
def preview(context: typer.Context, stack: StackOption = None, only: OnlyOption = None) -> None:
    """Show what `up` would change. Further options go to `pulumi preview`."""
    from cli import stack as stacks
    from cli.forks import forks

    words, section = forwarded.options(context.args), _section(only)
    chosen = stacks.select(stack)
    with forks(chosen) as forked:  # as in `up`
        from cli import lifecycle

        status = lifecycle.preview(chosen, section, words, forked, report=report)
    raise typer.Exit(status)


@app.command(context_settings=_FORWARD)
def destroy(context: typer.Context, stack: StackOption = None, only: OnlyOption = None, yes: YesOption = False) -> None:
    """Remove what a stack made; protected data is refused. Further options go to `pulumi destroy`."""
    from cli import lifecycle
    from cli import stack as stacks

    words = forwarded.options(context.args)
    raise typer.Exit(lifecycle.destroy(stacks.select(stack), _section(only), words, yes=yes, report=report))


@app.command()
def outputs(
    stack: StackOption = None,
    as_json: JsonOption = False,
    show_secrets: Annotated[bool, typer.Option("--show-secrets", help="Print secret values in clear.")] = False,
) -> None:
    """Print the outputs of a stack."""
    from cli import engine, healing
    from cli import stack as stacks
    from cli.session import open_session

    session = open_session(stacks.select(stack), report, start_backends=False)
    healing.refuse_damaged_state(session)
    arguments = ["stack", "output", "--stack", session.stack.name]
    arguments += ["--json"] if as_json else []
    arguments += ["--show-secrets"] if show_secrets else []
    typer.echo(engine.capture(session, arguments), nl=False)


@app.command()
def status(stack: StackOption = None, as_json: JsonOption = False) -> None:
    """Show the stack, its engine, and whether the embedded backends run."""
    from cli import stack as stacks
    from cli.status import show

    show(stacks.select(stack), as_json=as_json)


@app.command()
def env(stack: StackOption = None) -> None:
    """Print exports, so that any plain `pulumi` command works: eval "$(./factory env)"."""
    from cli import stack as stacks
    from cli.configuration import settings_of
    from cli.policy import write_policy_config
    from cli.session import open_session

    chosen = stacks.select(stack)
    settings = settings_of(chosen)
    session = open_session(chosen, report)
    exports = session.exports | {"FACTORY_POLICY_CONFIG": str(write_policy_config(session, settings))}
    for name, value in sorted(exports.items()):
        typer.echo(f"export {name}={shlex.quote(value)}")


@app.command(context_settings=_FORWARD)
def pulumi(context: typer.Context, stack: Annotated[str, typer.Argument(help="The stack.")]) -> None:
    """Run `pulumi ARGS` for STACK: ./factory pulumi STACK -- ARGS."""
    from cli import engine
    from cli import stack as stacks
    from cli.session import open_session

    session = open_session(stacks.select(stack), report)
    raise typer.Exit(engine.run(session, context.args))


@app.command()
def init(name: Annotated[str, typer.Argument(help="The new stack's name.")]) -> None:
    """Write a commented stack file Pulumi.NAME.yaml."""
    from cli.configuration import write_starter

    write_starter(name)


@app.command()
def adopt(
    section: Annotated[str, typer.Argument(help="The section whose objects exist already, for instance apps.webapp.")],
    stack: StackOption = None,
    file: Annotated[Path, typer.Option("--file", help="The import file to write.")] = Path("adopt.json"),
    as_json: JsonOption = False,
) -> None:
    """Compare existing objects with a section, read-only, and write an import file for the equal ones."""
    from cli import stack as stacks
    from cli.adoption import adopt as run

    raise typer.Exit(run(stacks.select(stack), section, file, as_json=as_json, report=report))


@app.command()
def tools(as_json: JsonOption = False) -> None:
    """List each tool with version, origin, size and state."""
    from cli.status import show_tools

    show_tools(as_json=as_json)


@doctor_app.callback()
def doctor(context: typer.Context, as_json: JsonOption = False) -> None:
    """Check this machine and say what cannot be run on it; `doctor hosts` checks the machines of a stack."""
    from cli.doctor import examine

    if context.invoked_subcommand is None:
        raise typer.Exit(examine(as_json=as_json))


@doctor_app.command("hosts")
def doctor_hosts(
    name: Annotated[str | None, typer.Argument(help="One of them; all if none.")] = None,
    stack: StackOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check the machines of a stack: what they are, and whether what was asked of them holds."""
    from cli import stack as stacks
    from cli.host_checks import examine_hosts

    raise typer.Exit(examine_hosts(stacks.select(stack), name, as_json=as_json, report=report))


@doctor_app.command("cm5")
def doctor_cm5(stack: StackOption = None, as_json: JsonOption = False) -> None:
    """Check the home-automation gateway and its way to the hub: `doctor hosts cm5_gateway`."""
    from cli import stack as stacks
    from cli.host_checks import examine_hosts
    from stacks.settings.needs import CM5_GATEWAY

    raise typer.Exit(examine_hosts(stacks.select(stack), CM5_GATEWAY, as_json=as_json, report=report))


@app.command("test", context_settings=_FORWARD)
def run_tests(
    context: typer.Context,
    long: Annotated[
        bool,
        typer.Option(
            "--long", help="Everything at full count; without further arguments it writes docs/test-results.md."
        ),
    ] = False,
) -> None:
    """Get the tools, then run the tests. Further arguments go to pytest."""
    from cli.testing import run

    raise typer.Exit(run(context.args, long=long, report=report))


@app.command()
def bench(
    name: Annotated[str, typer.Argument(help="The benchmark: cm5, engine, hosts, labels, merge.")],
    quick: Annotated[bool, typer.Option("--quick", help="Fewer and smaller cases.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Run a benchmark against its peers."""
    from cli.benchmarks import run

    raise typer.Exit(run(name, quick=quick, as_json=as_json))


@sandbox_app.command("start")
def sandbox_start() -> None:
    """Start the backends; they run until stopped."""
    from sandbox.supervisor import Sandbox
    from toolchain import state_dir

    Sandbox(state_dir()).start(report)


@sandbox_app.command("stop")
def sandbox_stop() -> None:
    """Stop the backends and keep their data."""
    from sandbox.supervisor import Sandbox
    from toolchain import state_dir

    Sandbox(state_dir()).stop(report)


@sandbox_app.command("status")
def sandbox_status(as_json: JsonOption = False) -> None:
    """Show each backend with its state, address and memory."""
    from cli.status import show_backends

    show_backends(as_json=as_json)


@sandbox_app.command("reset")
def sandbox_reset(yes: YesOption = False) -> None:
    """Stop the backends and delete their data, and the state of the stacks on them."""
    from cli.status import reset_sandbox

    reset_sandbox(yes=yes, report=report)


@host_key_app.command("scan")
def host_key_scan(
    address: Annotated[str, typer.Argument(help="DNS name, IP address, or an alias of ~/.ssh/config.")],
    port: Annotated[int | None, typer.Option("--port", "-p", help="TCP port; else ~/.ssh/config's, else 22.")] = None,
) -> None:
    """Print the public keys that a machine shows, to be compared out of band and pinned as `host_key`."""
    from cli.hosts import scan

    scan(address, port)


@config_app.command("validate")
def config_validate(
    files: Annotated[list[Path] | None, typer.Argument(help="Stack files; all of them if none.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Print all problems of the stack files: file, key path, value, rule and fix."""
    from cli.configuration import validate

    raise typer.Exit(validate(files or [], as_json=as_json))


@config_app.command("reference")
def config_reference() -> None:
    """Print the reference of all keys, which docs/configuration.md holds."""
    from stacks.settings.reference import reference

    typer.echo(reference(), nl=False)


def _section(only: list[str] | None) -> str | None:
    """Return the section that was named. Raises InputError for two: the last would silently be the only one."""
    if only and len(only) > 1:
        raise InputError(f"--only is given {len(only)} times ({', '.join(only)}): name one section at a time")
    return only[0] if only else None


def main() -> None:
    """Run a command; a known error is one message, never a traceback."""
    try:
        app(prog_name="factory")
    except (CommandError, ToolError, SandboxError) as error:
        report(str(error))
        sys.exit(getattr(error, "status", 1))
    except OSError as error:
        report(_system_error(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)


_ADVICE = (
    (
        {errno.ENOSPC, errno.EDQUOT},
        "free some space, or set FACTORY_STATE and FACTORY_CACHE to a larger disk. Nothing more was changed",
    ),
    ({errno.EACCES, errno.EPERM, errno.EROFS}, "make it accessible for the user who runs this, or name another place"),
    ({errno.EISDIR, errno.ENOTDIR, errno.EEXIST}, "move away what lies in its place, or name another place"),
    ({errno.ENAMETOOLONG}, "name a shorter one"),
)
"""What to do about what the system refuses."""


def _system_error(error: OSError) -> str:
    """Say what the system refused, for which file, and what to do about what is common."""
    # Where two files are named, the second is the one that was to be written.
    place = f"{error.filename2 or error.filename}: " if error.filename else ""
    message = f"{place}{error.strerror or error}"
    advice = next((words for numbers, words in _ADVICE if error.errno in numbers), None)
    return f"{message}; {advice}" if advice else message
