"""A group of commands that loads the module of the one that is called, and no other: nothing else starts fast enough."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import typer
from typer.core import TyperGroup

if TYPE_CHECKING:
    from collections.abc import Mapping


class Lazy(TyperGroup):
    """Knows by name the commands of `modules`, and the module in mdagent.cli that holds each."""

    modules: ClassVar[Mapping[str, str]] = {}
    path: ClassVar[str] = "mdagent"  # what is typed before the command

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401, ARG002  typer's context
        return list(self.modules)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401, ARG002  typer's command
        if cmd_name not in self.modules:
            return None
        from importlib import import_module

        group = import_module(f"mdagent.cli.{self.modules[cmd_name]}").app
        held = group.registered_commands  # the neighbours of the one that is called are not built
        info = next((c for c in held if (c.name or c.callback.__name__) == cmd_name), None)
        if info is None:
            return typer.main.get_command(group)
        return typer.main.get_command_from_info(info, pretty_exceptions_short=True, rich_markup_mode=None)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401  typer's context and command
        if args and args[0] not in self.modules and not args[0].startswith("-"):
            import difflib

            from mdagent.errors import UsageError

            near = difflib.get_close_matches(args[0], self.modules, 1)
            msg = " ".join(("there is no command", *self.path.split()[1:], ascii(args[0][:40])))
            raise UsageError(msg, f"did you mean {near[0]}?" if near else f"{self.path} --help lists them")
        return super().resolve_command(ctx, args)
