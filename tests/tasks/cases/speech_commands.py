import numpy as np

from tasks.speech_commands import WORDS
from tests.tasks.cases import Case
from tests.tasks.official_files import temporary_folder, write_wav

folder = temporary_folder()
lists: dict[str, list[str]] = {"validation": [], "testing": []}
for label, word in enumerate(WORDS["all"]):
    for index in range(8 if label < 10 else 3):
        samples = np.arange(2000 + 400 * index) * (7 * label + 3) % 6001 - 3000 + index
        name = f"{word}/{index:04}_nohash_0.wav"
        write_wav(folder / "SpeechCommands" / name, samples)
        if index < 2:
            lists[("validation", "testing")[index]].append(name)
for split, names in lists.items():
    path = folder / "SpeechCommands" / f"{split}_list.txt"
    path.write_text("".join(f"{name}\n" for name in names))

write_wav(folder / "SpeechCommands" / "_background_noise_" / "noise.wav", np.zeros(9))

CASE = Case(
    variants=[
        {"folder": str(folder), "stride": 200},
        {"folder": str(folder), "words": "all", "stride": 640},
    ],
    golden=[-3.713558, 0.011452, 3.736462, 0.007726, 3.732736, 0.003999, -100, 1],
)
