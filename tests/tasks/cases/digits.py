from tests.tasks.cases import Case

CASE = Case(variants=[{}, {"permuted": True, "upsample": 3}], golden="01361dec158992ba")
