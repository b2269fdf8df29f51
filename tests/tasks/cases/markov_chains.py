from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"num_states": 3, "length": 60, "order": 2, "concentration": 0.3},
        {"num_states": 2, "length": 40, "order": 3},
        {"num_states": 3, "length": 40, "scored": "last"},
    ],
    golden="d7d94a73c77877d4",
)
