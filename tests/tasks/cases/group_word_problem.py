from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {"kind": "cyclic", "n": 7, "length": 12, "scored": "last"},
        {"kind": "symmetric", "n": 4, "length": 14, "elements": "swaps", "scored": "last"},
        {"kind": "alternating", "n": 4, "length": 10},
    ],
    golden="064c4abfb0666c65",
)
