from tests.tasks.cases import Case

CASE = Case(
    variants=[{}, {"max_depth": 5, "min_length": 10, "max_length": 80}],
    golden="1540c6d70e8d9c73",
)
