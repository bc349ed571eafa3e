# SPDX-License-Identifier: Apache-2.0
"""Notes of an upgrade: what its tenant should learn of it although it did not end because of that.

In a row's data they are three lists.  Releases up to borealis wrote plain sentences, and a guest
sends some; a row can hold both.  Whatever a row or a guest says in another form is left out: it is
shown to people, and nothing is decided by it.
"""

import dataclasses
import enum
from collections.abc import Mapping
from typing import Any, Self

from trove_upgrade.domain import concealment, printable, states

Json = Mapping[str, Any]

#: Keys of a row's data.
WARNINGS, REMARKS, SETTINGS_CHANGED = 'warnings', 'remarks', 'settings_changed'

#: A guest is another's machine: so many notes of one kind,
#: and so many characters of one text, are kept.
MOST = 100
LONGEST = 1000


class NoteCode(enum.StrEnum):
    """Stable codes of notes that have none of a check."""

    #: a check's warning that has none, as in rows of earlier releases
    CHECK_WARNING = 'CHECK_WARNING'
    RESTORE_REMARK = 'RESTORE_REMARK'  #: the same of a remark
    OWNER_NOT_RESTORED = 'OWNER_NOT_RESTORED'
    SETTING_CHANGED = 'SETTING_CHANGED'
    TROVE_AGENT_SILENT = 'TROVE_AGENT_SILENT'
    TROVE_RESTART_REQUIRED = 'TROVE_RESTART_REQUIRED'
    INSTANCE_RESET = 'INSTANCE_RESET'


#: Plain sentences by what they contain: code and step.
_SENTENCES = (
    ('back to NONE', NoteCode.INSTANCE_RESET, states.Step.VERIFY),
    ('Trove shows RESTART_REQUIRED', NoteCode.TROVE_RESTART_REQUIRED, states.Step.VERIFY),
    ('The agent of Trove has not reported', NoteCode.TROVE_AGENT_SILENT, states.Step.VERIFY),
    ('belongs to', NoteCode.OWNER_NOT_RESTORED, states.Step.RESTORE),
)


@dataclasses.dataclass(frozen=True)
class Note:
    """One sentence, the step that found it, and a stable code."""

    step: states.Step
    code: str
    message: str

    @classmethod
    def parse(cls, entry: Any, step: states.Step, code: str) -> Self | None:
        """Return what a row or a guest holds; `step` and `code` where it names none.  None: no
        note.
        """
        if isinstance(entry, str) and entry:
            found = next((known[1:] for known in _SENTENCES if known[0] in entry), (code, step))
            return cls(found[1], found[0], _cut(entry))
        if not isinstance(entry, Mapping) or not isinstance(entry.get('message'), str):
            return None
        named = entry.get('code')
        return cls(
            _step(entry.get('step')) or step,
            _cut(named, 64) if isinstance(named, str) and named else code,
            _cut(entry['message']),
        )

    def to_row(self) -> dict[str, str]:
        """Return it as it stands in a row's data, in answers and in notifications."""
        return {'step': str(self.step), 'code': str(self.code), 'message': self.message}

    def for_tenant(self) -> Self:
        """Return a copy without what belongs to the operator."""
        return dataclasses.replace(self, message=concealment.for_tenant(self.message))


@dataclasses.dataclass(frozen=True, kw_only=True)
class SettingChange:
    """A global variable that has another value since the upgrade."""

    name: str
    before: str
    after: str
    step: states.Step = states.Step.RESTORE
    code: str = NoteCode.SETTING_CHANGED

    @classmethod
    def parse(cls, entry: Any) -> Self | None:
        """Return what a row or a guest holds.  None: no change of a setting."""
        if not isinstance(entry, Mapping) or not isinstance(entry.get('name'), str):
            return None
        before, after = (
            _cut('' if value is None else str(value))
            for value in (entry.get('before'), entry.get('after'))
        )
        return cls(name=_cut(entry['name'], 64), before=before, after=after)

    @property
    def message(self) -> str:
        """Describe the change for a person. Of two lists it names the members that differ:
        optimizer_switch alone has forty.
        """
        lists = all(
            ',' in value and not value.endswith(printable.CUT)
            for value in (self.before, self.after)
        )
        went, came = _apart(self.before, self.after), _apart(self.after, self.before)
        if not lists or not went + came:
            return f'{self.name} was {self.before!r} and is {self.after!r}.'
        parts = [
            f'{", ".join(members)} {end}'
            for members, end in ((went, 'before'), (came, 'now'))
            if members
        ]
        return f'{self.name} differs: {"; ".join(parts)}.'

    def to_row(self) -> dict[str, str]:
        """Return it as it stands in a row's data."""
        return {'name': self.name, 'before': self.before, 'after': self.after}

    def to_answer(self) -> dict[str, str]:
        """Return it as it stands in answers and in notifications."""
        return {
            'step': str(self.step),
            'code': str(self.code),
            'message': self.message,
            **self.to_row(),
        }


@dataclasses.dataclass(frozen=True)
class Notes:
    """All notes of an upgrade, by step."""

    warnings: tuple[Note, ...] = ()  #: of the checks before it
    remarks: tuple[Note, ...] = ()  #: of what followed
    settings_changed: tuple[SettingChange, ...] = ()

    @classmethod
    def of(cls, data: Json) -> Self:
        """Parse the notes of a row's data, whichever release has written it."""
        return cls(
            _notes(data.get(WARNINGS), states.Step.PRECHECK, NoteCode.CHECK_WARNING),
            _notes(data.get(REMARKS), states.Step.RESTORE, NoteCode.RESTORE_REMARK),
            tuple(
                sorted(
                    _present(map(SettingChange.parse, _list(data.get(SETTINGS_CHANGED)))),
                    key=lambda change: change.name,
                )
            ),
        )

    def to_answer(self) -> dict[str, list[dict[str, str]]]:
        """Return them as they stand in answers and in notifications."""
        return {
            WARNINGS: [note.to_row() for note in self.warnings],
            REMARKS: [note.to_row() for note in self.remarks],
            SETTINGS_CHANGED: [change.to_answer() for change in self.settings_changed],
        }

    def to_row(self) -> dict[str, list[dict[str, str]]]:
        """Return them as they stand in a row's data."""
        return {
            **self.to_answer(),
            SETTINGS_CHANGED: [change.to_row() for change in self.settings_changed],
        }

    def of_known_steps(self) -> Self:
        """Return a copy of what a guest tells, in which an unknown step becomes RESTORE."""
        return dataclasses.replace(
            self,
            remarks=tuple(
                note if note.step.is_known else dataclasses.replace(note, step=states.Step.RESTORE)
                for note in self.remarks
            ),
        )

    def with_remark(self, remark: Note) -> Self:
        """Return a copy with one more remark."""
        return dataclasses.replace(self, remarks=(*self.remarks, remark))

    def for_tenant(self) -> Self:
        """Return a copy without what belongs to the operator. Settings are the tenant's own: the
        database shows them.
        """
        return dataclasses.replace(
            self,
            warnings=tuple(note.for_tenant() for note in self.warnings),
            remarks=tuple(note.for_tenant() for note in self.remarks),
        )


#: Of an upgrade whose tenant is to learn nothing more.
NO_NOTES = Notes()


def _notes(entries: Any, step: states.Step, code: str) -> tuple[Note, ...]:
    found = _present(Note.parse(entry, step, code) for entry in _list(entries))
    return tuple(sorted(found, key=lambda note: states.order(note.step)))


def _step(named: Any) -> states.Step | None:
    """A step of a newer release, too; None: no step's name."""
    return states.Step(named) if isinstance(named, str) and states.is_name(named) else None


def _apart(one: str, other: str) -> list[str]:
    """Members of a list that another lacks."""
    others = set(other.split(','))
    return [member for member in one.split(',') if member not in others]


def _present(found: Any) -> list[Any]:
    return [one for one in found if one is not None][:MOST]


def _list(entries: Any) -> list[Any]:
    return list(entries) if isinstance(entries, list | tuple) else []


def _cut(text: str, longest: int = LONGEST) -> str:
    return printable.cut(text, longest)
