"""Small cells of the benchmark of speed, a family each."""

from benchmarks.speed_cells import CELLS, Cell, cohort_of

FAMILIES = list(dict.fromkeys(cell.family for cell in CELLS.values()))
STEPS = 3


def small_cell(family):
    """The family's first cell, with small nets and batches."""
    cell = next(cell for cell in CELLS.values() if cell.family == family)
    battery = {**cell.battery, "width": 5, "train": {**cell.battery["train"], "batch": 8}}
    battery |= {"probes": {"batch": 8}} | ({"length": 7} if "length" in battery else {})
    if "length" not in battery:
        battery["factors"] = {**battery["factors"], "depth": [2]}
    return Cell(family, battery, 1, 1)


def small(family, folder, runs=1):
    return cohort_of(small_cell(family), runs, STEPS, folder)
