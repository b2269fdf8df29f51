from math import nan

from tests.tasks.cases import Case

CASE = Case(
    variants=[{}, {"num_codes": 6, "dims": 3, "length": 11, "num_pairs": 5, "power": 1.0}],
    golden=[-0.16154473, -0.04851854, -0.12340915, -0.45707658, 0.00237643, 0.08484683, nan, nan],
)
