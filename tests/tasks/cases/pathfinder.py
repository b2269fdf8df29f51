from tests.tasks.cases import Case

CASE = Case(
    variants=[
        {},
        {
            "size": 64,
            "contour_length": 4,
            "distractor_length": 2,
            "num_distractors": 3,
            "paddle_length": 4,
            "paddle_thickness": 1.5,
            "margin": 2,
            "continuity": 1.5,
            "contrast": 0.7,
            "seed_distance": 15,
            "marker_radius": 2.0,
        },
    ],
    golden="7e0957904cdbbc70",
)
