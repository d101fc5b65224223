"""A small supply chain, made up for the tests of the Willems loader, in each layout that a file may have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from kaizen_env import DescriptionError

Row = dict[str, Any]
COLUMNS = (
    "/@company",
    "/arcs/arc/@from",
    "/arcs/arc/@to",
    "/stages/stage/@avgDemand",
    "/stages/stage/@maxServiceTime",
    "/stages/stage/@serviceLevel",
    "/stages/stage/@stageClassification",
    "/stages/stage/@stageCost",
    "/stages/stage/@stageName",
    "/stages/stage/@stageTime",
    "/stages/stage/@stDevDemand",
    "/stages/stage/@xPos",
    "/stages/stage/@yPos",
)
ARCS = [
    ("Part_0001", "Manuf_0001"),
    ("Part_0002", "Manuf_0001"),
    ("Manuf_0001", "Trans_0001"),
    ("Manuf_0001", "Dist_0001"),
    ("Part_0003", "Dist_0001"),
    ("Trans_0001", "Retail_0001"),
    ("Dist_0001", "Retail_0002"),  # Dist_0001 sells to end customers too
]


def stages() -> list[Row]:
    names = ("stageName", "stageClassification", "stageCost", "stageTime", "avgDemand", "stDevDemand", "serviceLevel")
    table = [
        ("Part_0001", "Part", 10, 28, "", "", ""),
        ("Part_0002", "Part", 2, 3.5, "", "", ""),
        ("Part_0003", "Part", 1, 5, "", "", ""),
        ("Manuf_0001", "Manuf", 6, 10, "", "", ""),
        ("Trans_0001", "Trans", 1, 15, "", "", ""),
        ("Dist_0001", "Dist", 3, 4, 8, 3, 0.95),
        ("Retail_0001", "Retail", 0.5, 0, 20, 5, 0.98),
        ("Retail_0002", "Retail", 1, 8, 3, 1, ""),
    ]
    return [dict(zip(names, row, strict=True)) | {"xPos": 32 * i, "yPos": 16} for i, row in enumerate(table)]


def csv_rows(rows: list[Row], arcs: list[tuple[str, str]], chain: int = 7) -> list[list[Any]]:
    """The layout of the CSV export: arcs first, then stages."""
    lines: list[list[Any]] = [["/chain"] + [""] * (len(COLUMNS) - 1), list(COLUMNS)]
    for seller, buyer in arcs:
        lines.append([chain, seller, buyer] + [""] * (len(COLUMNS) - 3))
    for row in rows:
        lines.append([chain, "", ""] + [row.get(name.split("@")[-1], "") for name in COLUMNS[3:]])
    return lines


def as_csv(rows: list[Row], arcs: list[tuple[str, str]], chain: int = 7) -> str:
    return "\ufeff" + "\n".join(",".join(str(cell) for cell in line) for line in csv_rows(rows, arcs, chain))


def write_csv(folder: Path) -> Path:
    path = folder / "07.csv"
    path.write_text(as_csv(stages(), ARCS), encoding="utf-8")
    return path


def sd_ll_workbook(path: Path, chain: int = 7) -> Path:
    """The layout of the original workbook: one sheet of stages and one of arcs per chain."""
    book = openpyxl.Workbook()
    sd, ll = book.worksheets[0], book.create_sheet(f"{chain:02d}_LL")
    sd.title = f"{chain:02d}_SD"
    keys = ["stageName", "xPos", "yPos", "stageCost", "stageClassification", "avgDemand", "stDevDemand"]
    keys += ["serviceLevel", "stageTime"]
    renamed = {"stageName": "Stage Name", "xPos": "xPosition", "yPos": "yPosition", "stDevDemand": "stdDevDemand"}
    sd.append([renamed.get(key, key) for key in keys] + ["stdDev stageTime", "stageTime_1", "stageTime_%_1"])
    for row in stages():
        sd.append([None if row[key] == "" else row[key] for key in keys] + [None] * 3)
    ll.append(["sourceStage", "destinationStage"])
    for arc in ARCS:
        ll.append(list(arc))
    book.create_sheet("31_SD")
    book.save(path)
    return path


def refused(load: Callable[[], Any], *wanted: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        load()
    for part in wanted:
        assert part in str(caught.value)
