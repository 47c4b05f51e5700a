"""A settings file: YAML reduced to one document of mappings, lists and words, each with its line.

The text is read as a stream of events, never composed: aliases, anchors and tags are refused where they stand, so no
document can grow beyond its own length or make an object.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from mdagent.config.scalars import scalar, shown
from mdagent.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LARGEST = 1 << 20
_DEEPEST = 16

Value = str | float | bool | list["Node"] | dict[str, "Node"] | None


class Node(NamedTuple):
    """A value and the line it stands on (from 1); in a mapping, the line of its key."""

    value: Value
    line: int

    def plain(self) -> object:
        """The value without its lines."""
        if isinstance(self.value, list):
            return [item.plain() for item in self.value]
        if isinstance(self.value, dict):
            return {key: item.plain() for key, item in self.value.items()}
        return self.value


class Document(NamedTuple):
    """One file as read: `root` is None if it says nothing; `open_to_others` if its mode is wider than 0600."""

    path: Path
    root: Node | None
    open_to_others: bool


def read_file(path: Path) -> Document:
    """Read and parse a settings file. Raises ConfigError naming the file, and the line where there is one."""
    import os

    text, mode = _read(path, "settings", "check the path (mdagent config path), or write a file with: mdagent config init")
    return Document(path, parse(text, str(path)), open_to_others=os.name == "posix" and bool(mode & 0o077))


def read_text(path: Path, what: str, hint: str = "check the path") -> str:
    """The text of a YAML file of ours, of which `what` is told. Raises ConfigError."""
    return _read(path, what, hint)[0]


def _read(path: Path, what: str, hint: str) -> tuple[str, int]:
    import os

    try:
        with path.open("rb") as stream:
            mode = os.fstat(stream.fileno()).st_mode
            data = stream.read(LARGEST + 1)
    except OSError as exc:
        msg = f"{path}: the {what} file cannot be read: {exc.strerror}"
        raise ConfigError(msg, hint) from exc
    if len(data) > LARGEST:
        msg = f"{path}: the {what} file is larger than 1 MiB"
        raise ConfigError(msg, "is this the right file?")
    try:
        return data.decode("utf-8-sig"), mode
    except UnicodeDecodeError as exc:
        msg = f"{path}: byte {exc.start + 1} is not UTF-8"
        raise ConfigError(msg, "save the file as UTF-8") from None


def parse(text: str, name: str) -> Node | None:
    """The one document in `text`; None if there is nothing in it. Raises ConfigError that begins with `name:line`."""
    import yaml

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        return _build(yaml.parse(text, Loader=loader), name)
    except yaml.MarkedYAMLError as exc:
        line, column = _place(text, exc.problem_mark or exc.context_mark)
        msg = f"{name}:{line}: column {column}: not valid YAML: {exc.problem or exc.context}"
        has_tab = "\t" in "".join(text.splitlines()[line - 1 : line])
        raise ConfigError(msg, "indent with spaces; a tab may not begin a line" if has_tab else "mend that line") from None
    except yaml.YAMLError as exc:  # a character that YAML does not allow; its text shows no content
        msg = f"{name}: not valid YAML: {getattr(exc, 'reason', '') or 'a character is not allowed'}"
        raise ConfigError(msg, "remove control characters") from None


def _place(text: str, mark: Any) -> tuple[int, int]:  # noqa: ANN401 - yaml's marks have no types
    """Line and column from 1; what is missing at the end is missing on the last line, not on one that is not there."""
    lines = text.splitlines() or [""]
    if mark is None or mark.line >= len(lines):
        return len(lines), len(lines[-1]) + 1
    return mark.line + 1, mark.column + 1


def _build(events: Iterator[Any], name: str) -> Node | None:
    """Fold events into a tree with a stack of its own: depth is ours to bound, not Python's."""
    import yaml

    root: Node | None = None
    documents = 0
    stack: list[_Open] = []
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            documents += 1
            if documents > 1:
                raise _refuse(event, name, "a second document begins here", "keep one document in the file")
        if not isinstance(event, yaml.NodeEvent) and not isinstance(event, yaml.CollectionEndEvent):
            continue
        node = _take(event, stack, name)
        if node is None:
            continue
        if stack:
            stack[-1].add(node, name)
        else:
            root = node
    return None if root is None or root.value is None else root


def _take(event: Any, stack: list[_Open], name: str) -> Node | None:  # noqa: ANN401 - yaml's events have no types
    """The node that this event completes, if it does."""
    import yaml

    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise _refuse(event, name, f"the alias or anchor {shown(event.anchor)} is refused", "write the value out")
    if isinstance(event, yaml.CollectionEndEvent):
        done = stack.pop()
        return Node(done.items if done.keys is None else done.keys, done.line)
    tag = getattr(event, "tag", None)
    if tag is not None:
        raise _refuse(event, name, f"the tag {shown(tag)} is refused", "write a plain value")
    line = event.start_mark.line + 1
    if isinstance(event, yaml.ScalarEvent):
        return Node(scalar(event.value) if event.implicit[0] else event.value, line)
    if len(stack) >= _DEEPEST:
        raise _refuse(event, name, f"nested deeper than {_DEEPEST} levels", "no setting is that deep")
    stack.append(_Open(line, {} if isinstance(event, yaml.MappingStartEvent) else None))
    return None


def _refuse(event: Any, name: str, what: str, hint: str) -> ConfigError:  # noqa: ANN401 - yaml's events have no types
    mark = event.start_mark
    msg = f"{name}:{mark.line + 1}: column {mark.column + 1}: {what}"
    return ConfigError(msg, hint)


class _Open:
    """A mapping (`keys`) or list (`items`) whose end has not come yet."""

    __slots__ = ("items", "key", "keys", "line")

    def __init__(self, line: int, keys: dict[str, Node] | None) -> None:
        self.line = line
        self.keys = keys
        self.items: list[Node] = []
        self.key: tuple[str, int] | None = None

    def add(self, node: Node, name: str) -> None:
        """Put a finished node in: an item, a key, or the value of the last key. Raises ConfigError for a key used twice."""
        if self.keys is None:
            self.items.append(node)
            return
        if self.key is not None:
            key, line = self.key
            self.keys[key] = Node(node.value, line)
            self.key = None
            return
        if isinstance(node.value, list | dict) or node.value is None:
            msg = f"{name}:{node.line}: a key must be a word"
            raise ConfigError(msg, "write key: value")
        key = str(node.value)
        if key in self.keys:
            msg = f"{name}:{node.line}: the key {shown(key)} stands twice, on line {self.keys[key].line} and on line {node.line}"
            raise ConfigError(msg, "keep one of them")
        self.key = (key, node.line)
