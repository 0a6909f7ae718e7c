"""Matrix products of few rows with weights in panels, in fp32: what a decoding step multiplies.

A panel is 32 columns of the weights, one row of them after the other, so a product reads all weights once, from first
to last, and prefetches the next panel while it computes with one. A row is computed by itself and in the order of the
inputs, so it has the same bits in any batch and in any number of threads.
"""

from frugalrl.kernels import vectors
from frugalrl.kernels.jit import Numbers, compiled, compiled_inside
from frugalrl.kernels.vectors import LANES

SOURCES_DIGEST = "a9ea68df20e8c14d"
"""Of the files of this room that are imported here: numba uses what it kept on disk until this file changes."""

PANEL = 2 * LANES
"""Columns of a panel."""
ROWS_AT_ONCE = 96
"""Rows that are multiplied by one panel before the next: as many as fit into L2 beside it."""

_tile_of_12, _tile_of_8, _tile_of_4, _tile_of_1 = (vectors.tile_of(rows) for rows in (12, 8, 4, 1))


@compiled
def product(x: Numbers, panels: Numbers, bias: Numbers, residual: Numbers, out: Numbers, first: int, last: int) -> None:
    """residual + x W^T + bias, for the columns of panels first to last.

    x: [N, K]. panels: [panels, K, 32]. bias: [1, outputs], or [0, outputs] for none. residual: [N, outputs], or [0,
    outputs] for none. out: [N, outputs], other memory than the residual.
    """
    size = x.shape[1] * PANEL
    for start in range(0, x.shape[0], ROWS_AT_ONCE):
        end = min(x.shape[0], start + ROWS_AT_ONCE)
        for panel in range(first, last):
            ahead = (panel + 1) * size if panel + 1 < last else -1
            _panel_product(x, start, end, panels, panel, ahead, out)
            if bias.shape[0] > 0:
                _add_panel(bias, 0, start, end, panel * PANEL, out)
            if residual.shape[0] > 0:
                _add_panel(residual, out.shape[1], start, end, panel * PANEL, out)


@compiled_inside
def _panel_product(x: Numbers, start: int, end: int, panels: Numbers, panel: int, ahead: int, out: Numbers) -> None:
    """32 columns of rows start to end. The last tile may begin among rows that are done, and makes the same again.

    ahead: where the weights begin that are multiplied next; -1: nowhere."""
    inputs, outputs, column = x.shape[1], out.shape[1], panel * PANEL
    b = panel * inputs * PANEL
    stop = ahead + inputs * PANEL
    step = LANES if end - start > 12 else PANEL
    if ahead < 0:
        ahead, step, stop = b, 0, b + 1
    row = start
    while row < end:
        height = _height(end - row, end - start)
        row = min(row, end - height)
        to, a = row * outputs + column, row * inputs
        if height == 12:
            _tile_of_12(out, to, outputs, x, a, inputs, panels, b, ahead, step)
        elif height == 8:
            _tile_of_8(out, to, outputs, x, a, inputs, panels, b, ahead, step)
        elif height == 4:
            _tile_of_4(out, to, outputs, x, a, inputs, panels, b, ahead, step)
        else:
            _tile_of_1(out, to, outputs, x, a, inputs, panels, b, ahead, step)
        row += height
        ahead += inputs * step
        if ahead >= stop:
            ahead, step = b, 0


@compiled_inside
def _height(left: int, rows: int) -> int:
    """Of the next tile, of so many rows that are left and so many that there are."""
    if rows < 4:
        return 1
    left = (left + 3) // 4 * 4
    height = 8 if left == 16 else min(left, 12)
    return height if height <= rows else height - 4


@compiled_inside
def _add_panel(added: Numbers, stride: int, start: int, end: int, column: int, out: Numbers) -> None:
    """stride: from what is added to a row to what is added to the next."""
    for row in range(start, end):
        for at in range(column, column + PANEL, LANES):
            to = row * out.shape[1] + at
            vectors.store(out, to, vectors.plus(vectors.load(out, to), vectors.load(added, row * stride + at)))
