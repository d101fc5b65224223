"""Files of Willems (2008) supply chains, read and checked: a CSV export, a folder of them, or the Excel workbook.

What comes out is one `Chain` of named stages and arcs; `willems` makes a scenario of it.
"""

from __future__ import annotations

import csv
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import networkx

from ..errors import DescriptionError, near

KINDS = ("Part", "Manuf", "Trans", "Dist", "Retail")

# Names of a column in the files, compared without path, blanks and case: CSV export (XPath) first, workbook second.
STAGE_COLUMNS = {
    "name": ("stageName",),
    "kind": ("stageClassification",),
    "cost": ("stageCost",),
    "time": ("stageTime",),
    "demand": ("avgDemand",),
    "demand_sd": ("stDevDemand", "stdDevDemand"),
    "service_level": ("serviceLevel",),
    "x": ("xPos", "xPosition"),
    "y": ("yPos", "yPosition"),
}
ARC_COLUMNS = {"seller": ("from", "sourceStage"), "buyer": ("to", "destinationStage")}
OPTIONAL = ("service_level", "x", "y")
MOST_PROBLEMS = 10  # shown of one file

Rows = list[tuple[int, Sequence[Any]]]  # row number in the file, cells


@dataclass(frozen=True)
class Stage:
    """A stage as the file has it; None where its cell is blank."""

    name: str
    kind: str  # one of KINDS
    cost: float  # added at this stage, money per unit
    time: float  # mean, days
    demand: float | None  # mean, units per day
    demand_sd: float  # units per square root of day; 0 where the cell is blank
    service_level: float | None
    position: tuple[float, float] | None


@dataclass(frozen=True)
class Chain:
    """One supply chain: stages in the order of the file, arcs as pairs of stage numbers (seller, buyer)."""

    source: str  # the file, for messages
    number: int | None
    stages: tuple[Stage, ...]
    arcs: tuple[tuple[int, int], ...]
    order: tuple[int, ...]  # stage numbers, every seller before its buyers


@dataclass(frozen=True)
class _Table:
    """A sheet or CSV: where each known column stands, and the rows that are not blank."""

    where: str
    place: dict[str, int]
    label: dict[str, str]  # the column's name in the file
    rows: Rows


def read_chain(path: str | Path, chain: int | None = None) -> Chain:
    """The chain in a CSV export, or chain number `chain` of a folder of them or of a workbook (.xlsx).

    Raises `DescriptionError` with one line per problem, each with the file, the row and column or the stage, what
    was found, what is allowed, and a near name where there is one. Nothing partial is ever returned.
    """
    file = Path(path)
    if file.is_dir():
        file = _in_folder(file, chain)
    if not file.is_file():
        siblings = [p.name for p in file.parent.iterdir()] if file.parent.is_dir() else []
        raise DescriptionError(f"{file}: there is no such file{near(file.name, siblings)}")
    suffix = file.suffix.lower()
    if suffix in (".xls", ".xlsb", ".ods"):
        raise DescriptionError(
            f"{file}: found a workbook in the format {suffix}; allowed: .xlsx or .csv; open it and save it as .xlsx"
        )
    if suffix in (".xlsx", ".xlsm"):
        number, stages, arcs = _from_workbook(file, chain)
    else:
        rows = _csv_rows(file)
        stages = arcs = _xpath_table(str(file), rows)
        number = _number_of(file, rows, chain)
    return _chain(str(file), number, stages, arcs)


def _in_folder(folder: Path, chain: int | None) -> Path:
    there = {int(p.stem): p for p in sorted(folder.glob("*.csv")) if p.stem.isdecimal()}
    known = ", ".join(str(n) for n in sorted(there)) or "none"
    if chain is None:
        raise DescriptionError(f"{folder}: a folder needs the number of a chain, e.g. chain: 7; there are: {known}")
    if chain not in there:
        raise DescriptionError(f"{folder}: there is no chain {chain} (a file {chain:02d}.csv); there are: {known}")
    return there[chain]


def _csv_rows(file: Path) -> Rows:
    try:
        with file.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream, strict=True)
            rows = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DescriptionError(f"{file}: not a readable CSV file ({error}); UTF-8 text with commas is needed") from None
    return [(number, row) for number, row in rows if any(cell.strip() for cell in row)]


def _xpath_table(where: str, rows: Rows) -> _Table:
    """The layout of the CSV export: `/chain`, column names, then rows with either an arc or a stage."""
    if not rows:
        raise DescriptionError(f"{where}: the file is empty; a line /chain, a line of column names and rows are needed")
    if _text(rows[0][1][0]) == "/chain":
        rows = rows[1:]
        if not rows:
            raise DescriptionError(f"{where}: the file ends after its first line; column names and rows are missing")
    return _table(where, rows, STAGE_COLUMNS | ARC_COLUMNS)


def _table(where: str, rows: Rows, columns: dict[str, tuple[str, ...]]) -> _Table:
    first, names = rows[0]
    found = [_text(name) for name in names]
    plain = [re.sub(r"[\s_]", "", name.rsplit("/", 1)[-1].removeprefix("@")).lower() for name in found]
    place = {k: plain.index(name.lower()) for k, known in columns.items() for name in known if name.lower() in plain}
    missing = [known[0] for key, known in columns.items() if key not in place and key not in OPTIONAL]
    if missing:
        close = near(missing[0].lower(), plain).replace("did you mean", "is it the column")
        raise DescriptionError(
            f"{where}: row {first}: no column {', '.join(missing)}{close}; columns: {_some(found)}; the file may be cut"
        )
    width = len(names)
    problems = [
        f"{where}: row {number} has {len(row)} columns, the line of column names has {width}; the file may be cut"
        for number, row in rows[1:]
        if len(row) != width
    ]
    _refuse(problems)
    return _Table(where, place, {key: found[i] for key, i in place.items()}, rows[1:])


def _number_of(file: Path, rows: Rows, chain: int | None) -> int | None:
    """The chain's number in the CSV's column `/@company`, else in its name; it must be `chain` where that is given."""
    number = int(file.stem) if file.stem.isdecimal() else None
    first = next((i for i, (_, row) in enumerate(rows[:2]) if "/@company" in row), None)
    if first is not None:
        place = rows[first][1].index("/@company")
        cells = {_text(row[place]) for _, row in rows[first + 1 :]} - {""}
        if len(cells) > 1:
            raise DescriptionError(f"{file}: column '/@company': found chains {_some(sorted(cells))}; one per file")
        if cells and next(iter(cells)).isdecimal():
            number = int(cells.pop())
    if chain is not None and number is not None and chain != number:
        raise DescriptionError(
            f"{file}: this file holds chain {number}, not {chain}; leave chain out, or give its file"
        )
    return chain if number is None else number


def _from_workbook(file: Path, chain: int | None) -> tuple[int | None, _Table, _Table]:
    """Number, stages and arcs of one chain: sheets `07_SD` and `07_LL`, or one sheet `07` laid out like the CSV."""
    try:
        from openpyxl import load_workbook
    except ImportError:
        raise DescriptionError(
            f"{file}: reading a workbook needs openpyxl; install it with pip install 'kaizen-env[data]', or give a CSV"
        ) from None
    try:
        book = load_workbook(file, read_only=True, data_only=True)
    except Exception as error:
        raise DescriptionError(f"{file}: not a readable .xlsx workbook ({error}); save it again as .xlsx") from None
    try:
        sheets: dict[tuple[int | None, str], str] = {}
        for name in book.sheetnames:
            if found := re.fullmatch(r"\s*(?:chain\s*)?(\d+)[\s_-]*(SD|LL|)\s*", name, re.IGNORECASE):
                sheets[int(found[1]), found[2].upper()] = name
        if not sheets and len(book.sheetnames) == 1:
            sheets[chain, ""] = book.sheetnames[0]
        there = ", ".join(str(n) for n in sorted({n for n, _ in sheets if n is not None})) or "none"
        if chain is None and (None, "") not in sheets:
            raise DescriptionError(f"{file}: a workbook needs the number of a chain, e.g. chain: 7; there are: {there}")
        if not any(number == chain for number, _ in sheets):
            raise DescriptionError(f"{file}: the workbook has no chain {chain}; there are: {there}")

        def table(kind: str, columns: dict[str, tuple[str, ...]]) -> _Table:
            name = sheets.get((chain, kind))
            if name is None:
                raise DescriptionError(f"{file}: chain {chain} has no sheet {chain:02d}_{kind}; it needs _SD and _LL")
            where = f"{file}: sheet '{name}'"
            cells: list[list[Any]] = [list(row) for row in book[name].iter_rows(values_only=True)]
            width = max((len(row) for row in cells), default=0)
            rows: Rows = [
                (n, row + [None] * (width - len(row)))
                for n, row in enumerate(cells, start=1)
                if any(cell is not None for cell in row)
            ]
            if not kind:
                return _xpath_table(where, rows)
            if not rows:
                raise DescriptionError(f"{where}: the sheet is empty; a row of column names and rows are needed")
            return _table(where, rows, columns)

        if (chain, "") in sheets and (chain, "SD") not in sheets:
            stages = table("", {})
            return chain, stages, stages
        return chain, table("SD", STAGE_COLUMNS), table("LL", ARC_COLUMNS)
    finally:
        book.close()


def _chain(source: str, number: int | None, stage_table: _Table, arc_table: _Table) -> Chain:
    problems: list[str] = []
    stages = _stages(stage_table, arc_table is stage_table, problems)
    _refuse(problems)
    if not stages:
        raise DescriptionError(f"{stage_table.where}: no stages; the file may be cut, stages stand after the arcs")
    for name, times in Counter(stage.name for stage in stages).items():
        if times > 1:
            problems.append(f"{stage_table.where}: stage '{name}' stands {times} times; names must differ")
    _refuse(problems)
    arcs = _arcs(arc_table, stages, problems)
    _refuse(problems)
    selling = {seller for seller, _ in arcs}
    for i, stage in enumerate(stages):
        if i not in selling and not stage.demand:
            found = "blank" if stage.demand is None else "0"
            problems.append(
                f"{stage_table.where}: stage '{stage.name}' has no successor, and its"
                f" '{stage_table.label['demand']}' is {found}; a last stage needs a mean demand above 0"
            )
    _refuse(problems)
    graph = networkx.DiGraph(arcs)
    graph.add_nodes_from(range(len(stages)))
    if not networkx.is_directed_acyclic_graph(graph):
        cycle = [stages[i].name for i, _ in networkx.find_cycle(graph)]
        raise DescriptionError(
            f"{arc_table.where}: the stages {' → '.join([*cycle, cycle[0]])} form a cycle; goods must flow one way,"
            " remove one of these arcs"
        )
    return Chain(source, number, tuple(stages), tuple(arcs), tuple(networkx.topological_sort(graph)))


def _stages(table: _Table, mixed: bool, problems: list[str]) -> list[Stage]:
    stages = []
    for number, row in table.rows:
        cell = {key: _text(row[i]) for key, i in table.place.items()}
        if not cell["name"]:
            if not (mixed and (cell["seller"] or cell["buyer"])):
                what = "neither an arc nor a stage" if mixed else "no stage"
                problems.append(f"{table.where}: row {number}: {what}; column '{table.label['name']}' is blank")
            continue
        at = f"{table.where}: row {number}, stage '{cell['name']}'"
        if cell["kind"] not in KINDS:
            problems.append(
                f"{at}: column '{table.label['kind']}': found {_found(cell['kind'])}{near(cell['kind'], KINDS)};"
                f" allowed: {', '.join(KINDS)}"
            )
        value: dict[str, float | None] = {}
        for key in table.place.keys() - {"name", "kind", "seller", "buyer"}:
            column = f"{at}: column '{table.label[key]}': found {_found(cell[key])}"
            value[key] = _number(cell[key])
            if not cell[key]:
                if key in ("cost", "time"):
                    problems.append(f"{column}; every stage needs a number >= 0 here (0 is allowed)")
            elif value[key] is None:
                problems.append(f"{column}; a finite number is needed, with a point for decimals")
            elif key not in ("x", "y") and float(value[key] or 0) < 0:
                problems.append(f"{column}; allowed: numbers >= 0")
            elif key == "service_level" and float(value[key] or 0) >= 1:
                problems.append(f"{column}; allowed: 0 up to, but not, 1 (a share: 0.95, not 95)")
        x, y = value.get("x"), value.get("y")
        stages.append(
            Stage(
                name=cell["name"],
                kind=cell["kind"],
                cost=value["cost"] or 0.0,
                time=value["time"] or 0.0,
                demand=value["demand"],
                demand_sd=value["demand_sd"] or 0.0,
                service_level=value.get("service_level"),
                position=None if x is None or y is None else (x, y),
            )
        )
    return stages


def _arcs(table: _Table, stages: list[Stage], problems: list[str]) -> list[tuple[int, int]]:
    place = {stage.name: i for i, stage in enumerate(stages)}
    arcs: dict[tuple[int, int], int] = {}
    for number, row in table.rows:
        ends = {key: _text(row[table.place[key]]) for key in ARC_COLUMNS}
        if not any(ends.values()):
            continue
        unknown = {key: name for key, name in ends.items() if name not in place}
        for key, name in unknown.items():
            what = f"there is no stage '{name}'{near(name, place)}" if name else "found a blank; an arc has two ends"
            problems.append(f"{table.where}: row {number}, column '{table.label[key]}': {what}; stages: {_some(place)}")
        if not unknown:
            arc = place[ends["seller"]], place[ends["buyer"]]
            if arc in arcs:
                problems.append(
                    f"{table.where}: row {number}: the arc from '{ends['seller']}' to '{ends['buyer']}' stands in row"
                    f" {arcs[arc]} already; one arc per pair"
                )
            arcs.setdefault(arc, number)
    return list(arcs)


def _text(cell: Any) -> str:
    return "" if cell is None else str(cell).strip()


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _found(text: str) -> str:
    return f"'{text}'" if text else "a blank"


def _some(names: Iterable[str]) -> str:
    every = list(names)
    return ", ".join(every[:8]) + (f" and {len(every) - 8} more" if len(every) > 8 else "")


def _refuse(problems: list[str]) -> None:
    if problems:
        more = [f"… and {len(problems) - MOST_PROBLEMS} more problems"] if len(problems) > MOST_PROBLEMS else []
        raise DescriptionError("\n".join(problems[:MOST_PROBLEMS] + more))
