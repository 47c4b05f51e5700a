"""The help page of a command: plain text, examples before options."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

_GLOBALS = "Global options (--sandbox, --store FILE, --env NAME, -q, -v ...) may stand here too: mdagent --help"


class Page(TyperCommand):
    """A command whose usage line can be typed as it stands, and whose page ends with where the global options are told."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:  # noqa: ANN401  typer's context
        return [piece.removeprefix("{").removesuffix("}") for piece in super().collect_usage_pieces(ctx)]

    def format_epilog(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401, ARG002  typer's context and formatter
        formatter.write_paragraph()
        formatter.write_text(_GLOBALS)
