"""Blocks: the lines in the order of the textbook, those of one layer and quantity together under a heading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from clearprop.backends.source.statements import Statement
from clearprop.ir import Note, Program

SECTIONS = ("forward", "loss", "backward", "update")
_FORWARD, _LOSS, _BACKWARD, _UPDATE = range(4)

_WORDS = {
    "z": "weighted input",
    "a": "activation",
    "loss": "the loss of each sample",
    "cost": "the loss of the batch",
    "penalty": "what the weights cost",
    "objective": "what training makes small",
    "mask": "what is kept, and scaled",
    "t": "the number of this step, from 1",
}
_FIRST = ("dobjective", "dpenalty", "dcost", "dloss", "da", "delta", "dW", "db")
_LOSS_ORDER = ("loss", "cost", "penalty", "objective")


@dataclass
class Block:
    """Lines of one layer and quantity."""

    section: int
    note: Note
    statements: list[Statement] = field(default_factory=list)


def arrange(program: Program, statements: Sequence[Statement]) -> list[Block]:
    """Return the statements in blocks, in an order in which each follows those it uses."""
    plan = _Plan(program, statements)
    blocks: list[Block] = []
    for statement in plan.ordered():
        section, note = plan.place(statement)
        if not blocks or (blocks[-1].section, blocks[-1].note) != (section, note):
            blocks.append(Block(section, note))
        blocks[-1].statements.append(statement)
    return blocks


def heading(note: Note, objective: str) -> str:
    """Return the comment over a block: the layer, and the quantity in words."""
    quantity = note.quantity
    words = _WORDS.get(quantity, "")
    if quantity == "delta":
        words = f"d {objective} / d z"
    elif note == Note("", "update"):
        quantity = "what the update of every layer needs"
    elif quantity.startswith("update "):
        quantity = f"update of {quantity.removeprefix('update ')}"
    elif quantity.startswith("ddelta") or quantity.startswith("dd"):
        words = f"derivative by {quantity[1:]}"
    elif quantity.startswith("d") and words == "":
        words = f"d {objective} / d {quantity[1:]}"
    text = f"{quantity} = {words}" if words else quantity
    return f"{note.layer}: {text}" if note.layer and text else note.layer or text


class _Plan:
    """Where every statement belongs, and in which order they come."""

    def __init__(self, program: Program, statements: Sequence[Statement]) -> None:
        self._statements = list(statements)
        assigned = {item.value.name: item for item in statements}
        self._needs = {
            item: [assigned[name] for name in sorted(item.uses()) if name in assigned] for item in statements
        }
        self._users: dict[Statement, list[Statement]] = {item: [] for item in statements}
        for item, needs in self._needs.items():
            for need in needs:
                self._users[need].append(item)
        self._quantities = {value.note.quantity for value in program.values()}
        layers = dict.fromkeys(value.note.layer for value in program.values())
        self._layers = {layer: rank for rank, layer in enumerate(layers)}
        self._position = {item: i for i, item in enumerate(statements)}
        self._sections = self._find_sections()
        self._notes = self._find_notes()

    def place(self, statement: Statement) -> tuple[int, Note]:
        """Return the section and the block's note."""
        return self._sections[statement], self._notes[statement]

    # -- sections: what the quantity says, and never later than a user

    def _find_sections(self) -> dict[Statement, int]:
        sections: dict[Statement, int] = {}
        for item in self._statements:
            earliest = max((sections[need] for need in self._needs[item]), default=_FORWARD)
            declared = self._declared(item.note)
            sections[item] = earliest if declared is None else max(declared, earliest)
        for item in reversed(self._statements):
            latest = min((sections[user] for user in self._users[item]), default=sections[item])
            floating = self._declared(item.note) is None and not item.note.layer
            sections[item] = latest if floating else min(sections[item], latest)
        return sections

    def _declared(self, note: Note) -> int | None:
        quantity = note.quantity
        if quantity in _LOSS_ORDER:
            return _LOSS
        if quantity == "update" or quantity.startswith("update "):
            return _UPDATE
        if self._is_cotangent(quantity):
            return _BACKWARD
        return None

    def _is_cotangent(self, quantity: str) -> bool:
        rest = quantity[1:]
        return quantity == "delta" or (
            quantity.startswith("d") and rest != "" and (rest in self._quantities or self._is_cotangent(rest))
        )

    # -- blocks: a line that only one block uses stands in that block

    def _find_notes(self) -> dict[Statement, Note]:
        notes: dict[Statement, Note] = {}
        for item in reversed(self._statements):
            notes[item] = self._note(item, notes)
        return notes

    def _note(self, item: Statement, notes: dict[Statement, Note]) -> Note:
        here = [user for user in self._users[item] if self._sections[user] == self._sections[item]]
        if item.known or not here:
            return item.note
        around = list(dict.fromkeys(notes[user] for user in here))
        if len(around) == 1 or item.note == Note():
            return around[0]
        layers = {note.layer for note in around}
        if self._sections[item] == _UPDATE and len(layers) > 1:
            return Note("", "update")
        return item.note

    # -- order

    def ordered(self) -> Iterator[Statement]:
        """Take the lines section by section, staying in a block and in a layer for as long as possible."""
        for section in range(len(SECTIONS)):
            yield from _Order(self, [item for item in self._statements if self._sections[item] == section]).lines()

    def needs(self, item: Statement) -> list[Statement]:
        """The lines that a line uses."""
        return self._needs[item]

    def users(self, item: Statement) -> list[Statement]:
        """The lines that use a line."""
        return self._users[item]

    def rank(self, item: Statement, layer: str | None) -> tuple[int | bool, ...]:
        """The order of lines that could all come next, after one of this layer."""
        section, note = self.place(item)
        order = _LOSS_ORDER if section == _LOSS else _FIRST
        quantity = order.index(note.quantity) if note.quantity in order else len(order)
        depth = self._layers.get(note.layer, 0)
        if section == _LOSS:
            return (quantity, depth, self._position[item])
        if section == _BACKWARD and note.layer:
            depth = len(self._layers) - depth
        return (note.layer != layer, depth, quantity, self._position[item])


class _Order:
    """The lines of one section, taken greedily."""

    def __init__(self, plan: _Plan, statements: list[Statement]) -> None:
        self._plan = plan
        inside = set(statements)
        self._missing = {item: sum(need in inside for need in plan.needs(item)) for item in statements}
        self._outside: dict[Note, int] = defaultdict(int)
        for item in statements:
            note = plan.place(item)[1]
            self._outside[note] += sum(need in inside and plan.place(need)[1] != note for need in plan.needs(item))

    def lines(self) -> Iterator[Statement]:
        """Take a line of which nothing is missing, again and again."""
        ready = [item for item, missing in self._missing.items() if not missing]
        note: Note | None = None
        while ready:
            item = min(ready, key=lambda item: self._key(item, note))
            ready.remove(item)
            note = self._plan.place(item)[1]
            yield item
            for user in self._plan.users(item):
                if user not in self._missing:
                    continue
                self._missing[user] -= 1
                user_note = self._plan.place(user)[1]
                self._outside[user_note] -= user_note != note
                if not self._missing[user]:
                    ready.append(user)

    def _key(self, item: Statement, current: Note | None) -> tuple[object, ...]:
        note = self._plan.place(item)[1]
        incomplete = self._outside[note] > 0
        layer = current.layer if current else None
        return (note != current, incomplete, *self._plan.rank(item, layer))
