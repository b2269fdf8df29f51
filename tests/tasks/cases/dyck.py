from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"num_types": 5, "max_depth": 3, "length": 21, "scored": "last"},
        {"num_types": 1, "max_depth": 4, "length": 18},
    ],
    golden="2c787d3d73783602",
)
