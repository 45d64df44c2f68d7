"""The table of databases, and which of them are on this machine."""

import io
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from diqa_utils.datasets.catalog import Database

TITLES = ("name", "installed", "pictures", "references", "score", "better", "from", "terms")
WIDTH = 150


@dataclass(frozen=True)
class Availability:
    """A database, and whether it is built on this machine."""

    database: Database
    built: bool

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table, in the order of its titles."""
        database = self.database
        counts = [f"{count:,} {part}" for part, count in database.splits.items()]
        if database.flag:
            counts.append(f"({database.flagged:,} {database.flag} left out)")
        scale = f"{database.scale.lowest:g} to {database.scale.highest:g}"
        return (
            database.name,
            "yes" if self.built else "no",
            ", ".join(counts).replace(" rated", "").replace(", (", " (") or "yours",
            str(database.references or "none"),
            f"{database.score}, {scale}",
            "higher" if database.scale.higher_is_better else "lower",
            database.home,
            database.terms,
        )


class Catalog(dict[str, Availability]):
    """The databases by name; prints as a table, in a notebook too."""

    def table(self) -> Table:
        """Returns the table for a terminal."""
        table = Table(show_lines=True)
        for title in TITLES:
            table.add_column(title, no_wrap=title == "name", overflow="fold")
        for entry in self.values():
            table.add_row(*entry.cells)
        return table

    def __str__(self) -> str:
        console = Console(file=io.StringIO(), width=WIDTH)
        console.print(self.table())
        return console.file.getvalue()  # type: ignore[attr-defined]

    def _repr_markdown_(self) -> str:
        lines = [TITLES, ("---",) * len(TITLES), *(entry.cells for entry in self.values())]
        return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
