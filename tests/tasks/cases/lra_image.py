import numpy as np

from tests.tasks.cases import Case
from tests.tasks.official_files import temporary_folder, write_images

NAMES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]

pixel = np.arange(3072)
BATCHES = {
    name: (
        np.stack([(pixel * (index + 3) + 40 * row) % 256 for row in range(6)]).astype(np.uint8),
        (np.arange(6) * (index + 1) + index) % 10,
    )
    for index, name in enumerate(NAMES)
}

folder = temporary_folder()
write_images(folder, BATCHES)
binary = temporary_folder()
write_images(binary, BATCHES, binary=True)

CASE = Case(variants=[{"folder": str(folder)}, {"folder": str(binary)}], golden="2d4e39591e1487bf")
