from tests.tasks.cases import Case

CASE = Case(
    variants=[{}, {"num_triggers": 3, "induction_length": 2, "marked": False}],
    golden="822f07155b114426",
)
