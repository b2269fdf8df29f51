from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"dims": 4, "num_points": 12, "scored_from": 4},
        {"dims": 5, "num_points": 9, "function": "sparse", "sparsity": 2, "scored": "last"},
        {"dims": 5, "num_points": 9, "function": "sparse", "sparsity": 2},
        {"dims": 3, "num_points": 8, "function": "two_layer", "hidden": 6, "noise": 0.3},
    ],
    golden=[
        -0.9744222164154053,
        0.6522886753082275,
        0.09429118037223816,
        1.1922600269317627,
        -0.15257731080055237,
        -0.0615469329059124,
        float("nan"),
        -1.1734600067138672,
    ],
)
