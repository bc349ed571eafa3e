# SPDX-License-Identifier: Apache-2.0
"""Collection of the pieces that a change of the models is divided into."""

from collections.abc import Iterable
from typing import Any

from trove_upgrade.schema_tools.autogenerate import columns
from trove_upgrade.schema_tools.autogenerate.pieces import Piece, Place, Rows, Split, Work


class Pieces:
    """Pieces of both branches, rows to change, and warnings."""

    def __init__(self, warnings: Iterable[str] = ()) -> None:
        self.expand: list[Piece] = []
        self.contract: list[Piece] = []
        self.rows: list[Rows] = []
        self.warnings = list(warnings)

    def split(self) -> Split:
        """Sort the pieces into the order in which each branch has to do them."""
        return Split(
            expand=tuple(sorted(self.expand, key=lambda piece: piece.place)),
            contract=tuple(sorted(self.contract, key=lambda piece: piece.place)),
            rows=tuple(self.rows),
            warnings=tuple(self.warnings),
        )

    def add(
        self,
        branch: list[Piece],
        place: Place,
        function: str,
        *arguments: Any,
        comment: str = '',
        **options: Any,
    ) -> None:
        """Add a call of a function of `ops` to a branch."""
        branch.append(
            Piece(
                place=place,
                function=function,
                arguments=arguments,
                options=options,
                comment=comment,
            )
        )

    def note(self, branch: list[Piece], comment: str) -> None:
        """Add a comment alone to a branch."""
        branch.append(Piece(place=Place.NOTE, comment=comment))

    def needs_rows(
        self, table: str, column: str, why: str, work: Work = Work.MEND, source: str = ''
    ) -> None:
        """Add rows that must be changed before the contract."""
        self.rows.append(Rows(table=table, work=work, column=column, source=source, why=why))

    def not_understood(self, operation: Any) -> None:
        """Add a comment and a warning in the place of a change."""
        table = columns.table_of(operation)
        what = f'{type(operation).__name__} of {table or "the schema"}: {_described(operation)}'
        self.note(
            self.expand, f'Not generated, and to be put into the right branch by hand: {what}'
        )
        self.warnings.append(
            f'A change could not be generated and is a comment in the revision: {what}'
        )


def _described(operation: Any) -> str:
    """Describe an operation by its fields, also one of a kind that another library has added."""
    return ', '.join(
        f'{name}={value!r}'
        for name, value in sorted(vars(operation).items())
        if not name.startswith('_')
        and value is not None
        and value is not False
        and name != 'table_name'
    ).replace('\n', ' ')
