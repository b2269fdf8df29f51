from tests.tasks.cases import Case

CASE = Case(variants=[{}, {"length": 12, "scored": "all"}], golden="529d2d6e6560042e")
