"""The command line: parses arguments, finds the command, prints its errors as sentences.

No command's work is done here; heavy imports wait until their command runs, so that
`--version` and `--help` answer at once.
"""

from __future__ import annotations

import argparse
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

from mediaconvert import SOURCE_URL, __version__
from mediaconvert.cli.options import add_settings_options
from mediaconvert.errors import JobError, Refusal, StartupError, Unavailable
from mediaconvert.standard_streams import hold_streams, report

IMAGE_SERVER = "image-server"
"""Started by the service itself, in the sandbox; of no use to a person, and shown to none."""


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="mediaconvert",
        description="An S3 endpoint that turns uploads into results: one process, one file.",
        epilog=f"Licence: AGPL-3.0. Source: {SOURCE_URL}",
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"mediaconvert {__version__} (AGPL-3.0; source: {SOURCE_URL})",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("help", help="print this list")
    _add_serve(commands)
    doctor = commands.add_parser("doctor", help="check tools, sandbox, disk and configuration")
    add_settings_options(doctor, "data_dir")
    health = commands.add_parser("health", help="ask the running service whether it is alive")
    health.add_argument(
        "--ready", action="store_true", help="whether all that it depends on works, one by one"
    )
    texts = {"host": "address that it listens on", "port": "its TCP port"}
    add_settings_options(health, "host", "port", texts=texts)
    demo = commands.add_parser("demo", help="one film through the whole service, on its own")
    demo.add_argument("--output", type=Path, metavar="DIR", help="where it works and leaves files")
    _add_upkeep(commands)
    _add_pipeline(commands)
    _add_config(commands)
    return parser


def _add_serve(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    serve = commands.add_parser("serve", help="run the service in the foreground")
    add_settings_options(serve, "host", "port", "data_dir", "role")


def _add_upkeep(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    move = commands.add_parser(
        "move", help="copy an embedded installation to PostgreSQL and an S3 store"
    )
    add_settings_options(move, "data_dir")
    move.add_argument(
        "--to", type=Path, metavar="FILE", required=True, help="settings file of the new nodes"
    )
    migrate = commands.add_parser("migrate", help="bring the databases' schema up to date")
    add_settings_options(migrate, "data_dir")
    migrate.add_argument(
        "--check", action="store_true", help="only say what is waiting; 1 when something is"
    )
    migrate.add_argument(
        "--accept-jwt-key",
        action="store_true",
        help="make JWT_SECRET the key of all nodes, in place of another; stop them first",
    )
    verify = commands.add_parser(
        "verify", help="read all stored data and list the objects that are damaged"
    )
    add_settings_options(verify, "data_dir")


def _add_pipeline(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    pipeline = commands.add_parser("pipeline", help="check a pipeline, or run one on a file")
    actions = pipeline.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = actions.add_parser("check", help="say everything that is wrong with a pipeline")
    check.add_argument("file", type=Path, metavar="FILE")
    run = actions.add_parser("run", help="run a pipeline on a local file, without a server")
    run.add_argument("file", type=Path, metavar="FILE")
    run.add_argument("input", type=Path, metavar="INPUT")
    run.add_argument("--output", type=Path, metavar="DIR", required=True)
    add_settings_options(run)
    actions.add_parser("schema", help="print the JSON Schema of pipelines")


def _add_config(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    config = commands.add_parser("config", help="show the settings and where they come from")
    actions = config.add_subparsers(dest="action", metavar="ACTION", required=True)
    show = actions.add_parser("show", help="every setting, its value and its origin")
    add_settings_options(show, "host", "port", "data_dir", "role")
    actions.add_parser("example", help="print an example environment file")
    actions.add_parser("clickhouse", help="print ClickHouse's tables, to make them by hand")


def run_command(arguments: argparse.Namespace) -> int:
    """Hand over to the command's own file; the answer is the exit status."""
    match arguments.command:
        case "serve":
            from mediaconvert.cli import serve

            return serve.run(arguments)
        case "doctor":
            from mediaconvert.cli import doctor

            return doctor.run(arguments)
        case "health":
            from mediaconvert.cli import health

            return health.run(arguments)
        case "demo":
            from mediaconvert.cli import demo

            return demo.run(arguments)
        case "move":
            from mediaconvert.cli import move

            return move.run(arguments)
        case "migrate":
            from mediaconvert.cli import migrate

            return migrate.run(arguments)
        case "verify":
            from mediaconvert.cli import verify

            return verify.run(arguments)
        case "pipeline":
            from mediaconvert.cli import pipelines

            return pipelines.run(arguments)
        case "config":
            from mediaconvert.cli import settings

            return settings.run(arguments)
        case "help":
            build_parser().print_help()
            return 0
        case _:  # none was named
            build_parser().print_help(sys.stderr)
            return 2


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 1 refused or failed with a sentence, 2 wrong usage."""
    is_program = argv is None
    argv = sys.argv[1:] if argv is None else argv
    if list(argv) == [IMAGE_SERVER]:
        from mediaconvert.tools import image_server

        return image_server.main()
    if is_program:
        hold_streams()
    arguments = build_parser().parse_args(argv)
    if (machine := (platform.system(), platform.machine())) != ("Linux", "x86_64"):
        print(f"mediaconvert runs on Linux x86-64; this is {' '.join(machine)}", file=sys.stderr)
        return 1
    try:
        return run_command(arguments)
    except _SENTENCES as error:
        return _say([error])
    except ExceptionGroup as group:
        known, unknown = group.split(_SENTENCES)
        if unknown is not None or known is None:
            raise
        return _say(_leaves(known))
    except BaseExceptionGroup as group:
        if group.split(KeyboardInterrupt)[1] is not None:
            raise
        return 130
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `mediaconvert config show | head`
        return 0


_SENTENCES = (StartupError, Refusal, JobError)


def _leaves(group: ExceptionGroup[Exception]) -> list[Exception]:
    """The errors themselves, out of the groups that nurseries put around them."""
    found: list[Exception] = []
    for error in group.exceptions:
        found += _leaves(error) if isinstance(error, ExceptionGroup) else [error]
    return found


def _say(errors: Sequence[Exception]) -> int:
    for error in errors:
        sentence = error.reason if isinstance(error, Unavailable) else str(error)
        for line in sentence.splitlines():
            report(f"mediaconvert: {line}")
        for line in error.log if isinstance(error, JobError) else ():
            print(f"    {line}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
