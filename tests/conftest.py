"""One thread, as CPU workers have: that is where the numbers are exact."""

import torch

torch.set_num_threads(1)
