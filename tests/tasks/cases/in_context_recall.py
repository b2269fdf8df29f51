from tests.tasks.cases import Case

CASE = Case(variants=[{}, {"vocab_size": 5, "length": 14}], golden="a50bae2ee8f1c179")
