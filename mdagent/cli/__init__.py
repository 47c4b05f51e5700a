"""The command line: parse words, call the agent, render, exit. The exit code is decided in `main`, once."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import typer
from typer.exceptions import TyperException

from mdagent.cli.hoist import hoist
from mdagent.cli.lazy import Lazy
from mdagent.cli.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Sequence

# Each command, the module that holds it, and its line in the help. A command loads its own module and no other.
COMMANDS: dict[str, tuple[str, str]] = {
    "fetch": ("data", "bars of one or more symbols: from the store, or fetched, checked, graded and stored"),
    "plan": ("plan", "what a fetch would ask, cost and take, before anything is spent"),
    "backfill": ("backfill", "many symbols over a long window; resumed by running it again"),
    "apply": ("backfill", "do what a plan says (plan -o FILE), and spend no more"),
    "compare": ("compare", "what each source says of the same bars, and by how much they differ"),
    "validate": ("validate", "what is wrong with stored bars, or with a file of them, and how good they are"),
    "gaps": ("gaps", "is all there that ought to be? each missing bar with its reason"),
    "diff": ("diff", "what sources changed of bars and splits that they had told before"),
    "import": ("intake", "bars from CSV and Parquet files into the store, as a source of their own"),
    "export": ("data", "stored bars, without asking anybody"),
    "freeze": ("freeze", "pin the bars of a backtest: named, hashed, verified and exported as they were"),
    "grade": ("grade", "how good the stored bars are, the worst first; the history; a heat map"),
    "explain": ("explain", "one bar: who said what, which value won and why"),
    "repair": ("repair", "proposed corrections of stored bars with their evidence; applied only when told, and undone"),
    "override": ("override", "accept or reject a bar yourself, with your reason"),
    "query": ("data", "your own SELECT over the store, read-only"),
    "quote": ("market", "the latest price"),
    "search": ("market", "symbols that fit a name"),
    "actions": ("market", "splits and dividends, as a source tells them"),
    "market": ("market", "which markets are open now"),
    "sources": ("sources", "the providers: how they do, what they may and cost, and who is asked first"),
    "config": ("config", "the settings: init, show, check, path, diff, reload"),
    "store": ("store", "the file of bars: what it holds, whether it is sound, and to rewrite it without waste"),
    "chaos": ("chaos", "experiments: does it hold when providers fail, lie and throttle? with a number"),
    "sandbox": ("sandbox", "the simulated market as a local HTTP server"),
    "doctor": ("doctor", "is everything in order? clock, store, ledger, keys, disk"),
}

_HELP = """\
Usage: mdagent [OPTIONS] COMMAND [ARGS]...

Market bars from several providers as one local history that can be trusted.

Examples:
  mdagent fetch AAPL                              a year of daily bars
  mdagent fetch AAPL MSFT --start 2024-01-02 --end 2024-02-01 --csv
  mdagent --sandbox fetch AAPL                    the same on synthetic prices, without network or key
  mdagent fetch - < symbols.txt > bars.csv        symbols from a file, CSV into a pipe

Commands:
{commands}

Global options, before or after the command (in the environment: MDAGENT_CONFIG, MDAGENT_STORE ...):
  --config FILE      settings file instead of the project's and the user's
  --store FILE       the bar store
  --env NAME         overlay of the settings: dev, staging, prod ...
  --sandbox          a simulated market; its bars have a store of their own
  --replay DIR       answers from recordings instead of the network
  --record DIR       record every exchange into DIR, keys blanked
  --lock-wait SECONDS  how long to wait for the store (settings lock.read_wait, lock.write_wait)
  -q, -v, -vv        say less, say more
  --no-color  --log-format text|json  --log-file FILE
  --version  -h, --help  --install-completion (of your shell)

MDAGENT_HOME moves all files. mdagent COMMAND --help tells the options of a command.

Exit codes:
{codes}
"""

_INTERRUPTED = 130


class Root(Lazy):
    """Of all commands."""

    modules: ClassVar = {name: module for name, (module, _) in COMMANDS.items()}

    def get_help(self, ctx: Any) -> str:  # noqa: ANN401, ARG002  typer's context
        from mdagent.cli.exits import MEANINGS

        commands = "\n".join(f"  {name:9} {about}" for name, (_, about) in COMMANDS.items())
        return _HELP.format(commands=commands, codes="\n".join(f"  {int(c):3}  {m}" for c, m in MEANINGS.items()))


app = typer.Typer(
    cls=Root,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def root(
    ctx: typer.Context,
    *,
    config: Annotated[Path | None, typer.Option()] = None,
    store: Annotated[Path | None, typer.Option()] = None,
    env: Annotated[str | None, typer.Option()] = None,
    sandbox: Annotated[bool, typer.Option("--sandbox")] = False,
    replay: Annotated[Path | None, typer.Option()] = None,
    record: Annotated[Path | None, typer.Option()] = None,
    lock_wait: Annotated[float | None, typer.Option(min=0.0, max=3600.0)] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q")] = False,
    verbose: Annotated[int, typer.Option("--verbose", "-v", count=True)] = 0,
    no_color: Annotated[bool, typer.Option("--no-color")] = False,
    log_format: Annotated[str | None, typer.Option()] = None,
    log_file: Annotated[Path | None, typer.Option()] = None,
    version: Annotated[bool, typer.Option("--version")] = False,
) -> None:
    """Market bars from several providers as one local history that can be trusted."""
    from mdagent.config import Flags

    terminal: Terminal = ctx.obj
    terminal.flags = Flags(
        config=config, store=store, env=env, sandbox=sandbox, replay=replay, record=record, quiet=quiet, verbose=verbose,
        no_color=no_color, log_format=log_format, log_file=log_file,
    )  # fmt: skip
    terminal.lock_wait = lock_wait
    if version:
        from mdagent import __version__

        terminal.out.write(f"mdagent {__version__}\n")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        terminal.out.write(ctx.get_help() + "\n")
        raise typer.Exit


def run() -> None:
    """The console script."""
    os.umask(0o077)
    gc.disable()  # a short run makes no garbage worth a search; a fetch turns it on again
    code = main(sys.argv[1:], Terminal(os.environ, Path.cwd()))
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # or the interpreter complains once more at its end
    sys.exit(code)


def main(words: Sequence[str], terminal: Terminal) -> int:
    """Run one command and return its exit code. Errors become one line on stderr here, and nowhere else."""
    from mdagent.errors import MdagentError

    with _Ending() as ending:
        try:
            told = _invoke(words, terminal)
        except MdagentError as error:
            from mdagent.cli.exits import of_error

            terminal.fail(error.message, error.hint, of_error(error))
            return terminal.code
        except (KeyboardInterrupt, typer.Abort):
            return _stopped(terminal, *ending.told)
        except BrokenPipeError:  # the reader of our output went away: no error, and nothing to say to anybody
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
            return 0
        except OSError as error:
            return _out_of_room(terminal, error)
        except TyperException as error:
            if type(error).__name__ == "NoArgsIsHelpError":
                terminal.err.write(error.format_message() + "\n")
                return 2
            terminal.fail(error.format_message(), "mdagent --help, or mdagent COMMAND --help", 2)
            return terminal.code
    return told or terminal.code


def _invoke(words: Sequence[str], terminal: Terminal) -> int:
    """Run the command; the exit code that it asks for, if any. What Typer makes of a closed pipe and of Ctrl-C is undone here."""
    try:
        told = typer.main.get_command(app).main(hoist(words), "mdagent", standalone_mode=False, obj=terminal)
        terminal.out.flush()  # a full device is told here, while it can still be told
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise end.__context__ from None
        raise
    if told == _INTERRUPTED:
        raise KeyboardInterrupt
    return told if isinstance(told, int) else 0


class _Ending:
    """While it lasts, SIGTERM is taken for Ctrl-C: whatever is under way ends in the one way that both have. `told` is the exit
    code of that end, and its word."""

    def __init__(self) -> None:
        self.told = (_INTERRUPTED, "interrupted")

    def __enter__(self) -> Self:
        import signal
        import threading

        self._main = threading.current_thread() is threading.main_thread()
        if self._main:
            self._old = signal.signal(signal.SIGTERM, self._terminate)
        return self

    def __exit__(self, *_: object) -> None:
        import signal

        if self._main:
            signal.signal(signal.SIGTERM, self._old)

    def _terminate(self, *_: object) -> None:
        import signal

        self.told = (143, "terminated")
        signal.raise_signal(signal.SIGINT)


def _stopped(terminal: Terminal, code: int, word: str) -> int:
    terminal.fail(f"{word}; what was stored is stored", "run the same command again: it goes on where it stopped", code)
    return code


def _out_of_room(terminal: Terminal, error: OSError) -> int:
    import errno

    from mdagent.cli.exits import ExitCode

    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
    crowded = error.errno in (errno.EMFILE, errno.ENFILE)
    where = f"{error.filename}: " if error.filename else ""
    terminal.fail(
        f"{where}{error.strerror or error}",
        "free some space, or write elsewhere" if full else "allow more open files (ulimit -n)" if crowded else "",
        ExitCode.DISK_FULL if full else ExitCode.CONFIG,
    )
    return terminal.code
