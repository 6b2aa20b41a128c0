"""What was recognised in the data, shown before training starts."""

from __future__ import annotations

from clearprop.cli.choices import DENSE
from clearprop.cli.output import table
from clearprop.cli.preparing import Prepared
from clearprop.data import ColumnReport, Dataset, Encoding, Table, printable

_SHOWN_COLUMNS = 20
_SHOWN_CLASSES = 10


def recognised(dataset: Dataset, prepared: Prepared[Encoding], width: int | None) -> str:
    """Return data, columns, target, parts and network in words."""
    features = dataset.features
    size = f"{len(features.names)} columns" if isinstance(features, Table) else f"samples of shape {features.shape[1:]}"
    lines = [f"{printable(dataset.name)}: {len(dataset)} rows, {size}"]
    notes = [*dataset.notes, *prepared.encoding.notes]
    lines += [f"  {printable(note, 300)}" for note in dict.fromkeys(notes)]
    reports = prepared.encoding.describe()
    if isinstance(features, Table):
        lines += ["", _columns(reports, width), ""]
    else:
        lines.append(f"  features: {reports[0].encoding}")
    lines += [_target(dataset, prepared), _parts(prepared), _network(prepared)]
    if prepared.choices.augment:
        lines.append(f"changed at random in training: {', '.join(prepared.choices.augment)}")
    return "\n".join(lines)


def _columns(reports: list[ColumnReport], width: int | None) -> str:
    rows = [("column", "kind", "distinct", "missing", "encoding")]
    rows += [
        (report.name, report.kind, str(report.distinct), str(report.missing), _becomes(report))
        for report in reports[:_SHOWN_COLUMNS]
    ]
    more = len(reports) - _SHOWN_COLUMNS
    text = table(rows, right={2, 3}, width=width)
    return text if more <= 0 else f"{text}\n... and {more} columns more"


def _becomes(report: ColumnReport) -> str:
    return report.encoding if report.dropped is None else f"dropped: {report.dropped}"


def _target(dataset: Dataset, prepared: Prepared[Encoding]) -> str:
    name = dataset.target_name
    name = ", ".join(name) if isinstance(name, tuple) else name
    called = f" {printable(name)}" if name else ""
    classes = prepared.encoding.classes
    if classes is None:
        count = prepared.encoding.n_outputs
        if prepared.encoding.task == "multilabel":
            return f"target{called}: {count} answers, each of two values"
        return f"target{called}: {'a number' if count == 1 else f'{count} numbers'}, standardised"
    shown = ", ".join(printable(label, 20) for label in classes[:_SHOWN_CLASSES])
    more = f" and {len(classes) - _SHOWN_CLASSES} more" if len(classes) > _SHOWN_CLASSES else ""
    return f"target{called}: {len(classes)} classes ({shown}{more})"


def _parts(prepared: Prepared[Encoding]) -> str:
    named = (("train", prepared.parts.train), ("validation", prepared.parts.validation), ("test", prepared.parts.test))
    return "rows: " + ", ".join(f"{len(part)} {name}" for name, part in named if part is not None)


def _network(prepared: Prepared[Encoding]) -> str:
    count = sum(array.size for array in prepared.model.parameters.values())
    choices = prepared.choices
    hidden = choices.layers or ()
    between = hidden if choices.arch == DENSE else (choices.arch,)
    if choices.network is not None:
        between = (f"{len(choices.network)} layers",)
    widths = [prepared.encoding.inputs.shape, *between, prepared.model.output_type().shape[-1]]
    sizes = ["x".join(map(str, width)) if isinstance(width, tuple) else str(width) for width in widths]
    layers = "-".join(sizes)
    if choices.start_from is not None:
        layers = f"the layers of {printable(choices.start_from, 300)}, {sizes[0]} to {sizes[-1]}"
    activation = f" ({choices.activation})" if hidden else ""
    network = f"network: {layers}{activation}, {count} parameters"
    named = (("dropout", choices.dropout), ("l1", choices.l1), ("l2", choices.l2))
    regularised = "".join(f", {name} {value:g}" for name, value in named if value)
    if choices.lr is None:
        return f"{network}; {choices.optimizer} on all rows at once, up to {choices.epochs} epochs{regularised}"
    steps = f"lr {choices.lr:g} {choices.schedule}, batches of {choices.batch_size}, up to {choices.epochs} epochs"
    return f"{network}; {choices.optimizer} {steps}{regularised}"
