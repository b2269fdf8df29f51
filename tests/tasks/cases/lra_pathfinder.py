import numpy as np

from tests.tasks.cases import Case
from tests.tasks.official_files import temporary_folder, write_paths


def pictures(count, size, start):
    """Two discs, and a line between them or not."""
    rows, columns = np.indices((size, size))
    out = []
    for index in range(start, start + count):
        label = index % 5 % 2
        disc = ((rows - 6) ** 2 + (columns - 5 - index % 7) ** 2 < 9) * 250
        other = ((rows - size + 6) ** 2 + (columns - size // 2) ** 2 < 9) * 250
        line = (columns == 5 + index % 7) * 100 if label else 0 * rows
        out.append((np.maximum(np.maximum(disc, other), line), label))
    return out


text, array = temporary_folder(), temporary_folder()
write_paths(text, {0: pictures(14, 32, 0), 1: pictures(14, 32, 14), 10: pictures(32, 32, 28)})
write_paths(
    array, {0: pictures(40, 64, 0)}, size=64, difficulty="curv_contour_length_9", as_array=True
)

CASE = Case(
    variants=[
        {"folder": str(text)},
        {"folder": str(array), "size": 64, "difficulty": "curv_contour_length_9"},
    ],
    golden="bd1558bb263aaef9",
)
