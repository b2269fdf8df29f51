from math import nan

from tests.tasks.cases import Case

CASE = Case(
    variants=[{}, {"length": 9}],
    golden=[0.84223074, 0.0, 0.16897815, 0.0, 0.03510599, 0.0, nan, 1.81809545],
)
