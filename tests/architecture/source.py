"""One source file, and what the rules ask of it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath


@dataclass(frozen=True)
class Source:
    """A Python file, by its path from the root of the checkout."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The file, parsed."""
        return ast.parse(self.text, self.path)

    @property
    def stem(self) -> str:
        """The file's name without its ending."""
        return PurePosixPath(self.path).stem

    @cached_property
    def functions(self) -> list[ast.FunctionDef]:
        """The functions at the top of the file: in a task file, its tasks."""
        return [node for node in self.tree.body if isinstance(node, ast.FunctionDef)]

    def imports(self) -> Iterator[tuple[str, str]]:
        """Yield (module, name) of every import in the file; name "" is the module itself."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from ((alias.name, "") for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                module = "." * node.level + (node.module or "")
                yield from ((module, alias.name) for alias in node.names)

    def bound_to(self, package: str) -> set[str]:
        """Return the names that the file imports from a package or anything below it."""
        return {
            alias.asname or alias.name
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ImportFrom) and is_below(node.module or "", package)
            for alias in node.names
        }


@dataclass(frozen=True)
class Rule:
    """One sentence that is held, and how."""

    id: str
    sentence: str
    """As the specification or the design says it."""
    check: Callable[..., Iterator[str]] = field(repr=False)
    """Yields one line for each violation."""


def is_below(module: str, package: str) -> bool:
    """Tell whether a module is the package or lies in it."""
    return module == package or module.startswith(f"{package}.")


def sources(root: Path, folder: str) -> list[Source]:
    """Return the Python files below a folder of the checkout."""
    return [
        Source(path.relative_to(root).as_posix(), path.read_text(encoding="utf-8"))
        for path in sorted((root / folder).rglob("*.py"))
    ]


def words_of(name: str) -> set[str]:
    """Return the words of a snake_case name, without a plural s."""
    return {word.removesuffix("s") for word in name.split("_") if word}
