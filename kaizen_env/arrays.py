"""What the model needs of an array library beyond the array API standard, once per library.

Everything else is written with the operations of the standard, on the namespace that `namespace` returns.
Links are sorted by company, so that a sum over a company's links is a sum over a run of rows.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = Any  # numpy.ndarray or torch.Tensor; shapes are stated where a field or an argument is named

BACKENDS = ("numpy", "torch")


def namespace(backend: str) -> Any:
    """The array API namespace of `numpy` or `torch`. Raises ValueError for others, ImportError without torch."""
    if backend == "numpy":
        return np  # NumPy 2 is itself an array API namespace
    if backend == "torch":
        try:
            from array_api_compat import torch as compat
        except ImportError:
            raise ImportError("the torch backend needs PyTorch; pip install 'kaizen-env[training]'") from None
        return compat
    raise ValueError(f"backend '{backend}' is not known; allowed: {', '.join(BACKENDS)}")


def as_array(values: Any, like: Array) -> Array:
    """`values` with the library, the floating type and the device of `like`."""
    if isinstance(like, np.ndarray):
        return np.asarray(values, dtype=like.dtype)
    import torch

    return torch.as_tensor(values, dtype=like.dtype, device=like.device)


def as_numpy(values: Array) -> np.ndarray:
    """A NumPy array of the same values, detached from any gradient."""
    return values if isinstance(values, np.ndarray) else values.detach().cpu().numpy()


def converted(value: Any, like: Array) -> Any:
    """A value with every array in it in the library, the floating type and the device of `like`.

    Goes into dicts, tuples and records (dataclasses); whole numbers stay whole numbers.
    """
    if isinstance(value, np.ndarray) or hasattr(value, "detach"):
        values = as_numpy(value)
        if values.dtype.kind == "f":
            return as_array(values, like)
        if isinstance(like, np.ndarray):
            return values
        import torch

        return torch.as_tensor(values, dtype=torch.int64, device=like.device)
    if isinstance(value, dict):
        return {k: converted(v, like) for k, v in value.items()}
    if isinstance(value, tuple):
        return tuple(converted(v, like) for v in value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: converted(getattr(value, f.name), like) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **fields)
    return value


@dataclass(frozen=True)
class Segments:
    """Rows grouped by the company they belong to: a gather order and the runs it leads to.

    `order` is None when the rows stand grouped already; `single` is true when each group is one row,
    so that a sum over groups changes nothing.
    """

    order: Array | None  # (rows,) int
    starts: Array  # (groups,) int, first row of each group
    group: Array  # (rows,) int, group of each row, ascending
    count: int  # groups
    single: bool

    @staticmethod
    def of(group: np.ndarray, count: int) -> Segments:
        """Segments of rows whose groups are `group` (rows,); every one of `count` groups must have a row."""
        order = np.argsort(group, kind="stable")
        ordered = group[order]
        starts = np.searchsorted(ordered, np.arange(count))
        in_place = bool((order == np.arange(len(group))).all())
        return Segments(None if in_place else order, starts, ordered, count, len(group) == count)


def gather(values: Array, index: Array | None) -> Array:
    """Rows `index` of `values`; `values` itself when the index is None (the identity)."""
    if index is None:
        return values
    return values.take(index, axis=0) if isinstance(values, np.ndarray) else values[index]


def spread(values: Array, segments: Segments) -> Array:
    """The value of its group for every row: (groups, worlds) to (rows, worlds). The rows must stand grouped."""
    return values if segments.single else gather(values, segments.group)


def segment_sum(values: Array, segments: Segments) -> Array:
    """Sum over each group of rows: (rows, worlds) to (groups, worlds)."""
    values = gather(values, segments.order)
    if segments.single:
        return values
    if isinstance(values, np.ndarray):
        return np.add.reduceat(values, segments.starts, axis=0)
    empty = values.new_zeros((segments.count, *values.shape[1:]))
    return empty.index_add(0, segments.group, values)


def segment_min(values: Array, segments: Segments) -> Array:
    """Minimum over each group of rows: (rows, worlds) to (groups, worlds)."""
    values = gather(values, segments.order)
    if segments.single:
        return values
    if isinstance(values, np.ndarray):
        return np.minimum.reduceat(values, segments.starts, axis=0)
    group = segments.group[:, None].expand(values.shape)
    empty = values.new_zeros((segments.count, *values.shape[1:]))
    return empty.scatter_reduce(0, group, values, "amin", include_self=False)


def slot_sum(values: Array) -> Array:
    """Sum over axis 0 (time slots, or efforts); zeros when there are none."""
    return np.add.reduce(values, axis=0) if isinstance(values, np.ndarray) else values.sum(0)


def square_sum(values: Array) -> Array:
    """Sum of squares over axis 0, in one pass."""
    return np.einsum("k...,k...->...", values, values) if isinstance(values, np.ndarray) else (values * values).sum(0)
