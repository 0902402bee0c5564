"""Writes blueprints/tabular.csv: made-up house plants, the same every time."""

from __future__ import annotations

import csv
import io
import math
import random
from pathlib import Path

TABLE = Path(__file__).resolve().parents[2] / "blueprints" / "tabular.csv"
HEADER = ("plant", "species", "room", "light_hours", "water_ml", "pot_cm", "age_months", "fertilized", "thrives")
WANTS = {
    "fern": (3.0, 400.0),
    "cactus": (8.0, 60.0),
    "ivy": (4.0, 250.0),
    "orchid": (5.0, 150.0),
    "basil": (7.0, 350.0),
}
ROOMS = {"kitchen": 0.4, "bathroom": 0.2, "bedroom": 0.0, "hallway": -0.8}


def plant(number: int, chance: random.Random) -> tuple[object, ...]:
    """One row: a plant thrives where light and water suit its species; the room and fertilizer help a little."""
    species, room = chance.choice(sorted(WANTS)), chance.choice(sorted(ROOMS))
    light, water = chance.uniform(1, 10), chance.uniform(20, 500)
    pot, age, fertilized = chance.randint(8, 30), chance.randint(1, 60), chance.random() < 0.4
    wanted_light, wanted_water = WANTS[species]
    score = 3.0 - 0.8 * abs(light - wanted_light) - 0.011 * abs(water - wanted_water)
    score += ROOMS[room] + 0.7 * fertilized + 0.04 * (pot - 19)
    thrives = chance.random() < 1 / (1 + math.exp(-2.5 * score))
    measured_age: object = "" if chance.random() < 0.05 else age
    measured_water: object = "" if chance.random() < 0.03 else round(water)
    where: object = "" if chance.random() < 0.02 else room
    truth = "true" if fertilized else "false"
    return f"p{number:03}", species, where, f"{light:.1f}", measured_water, pot, measured_age, truth, _yes(thrives)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


def table(rows: int = 600, seed: int = 7) -> str:
    """The whole file."""
    chance = random.Random(seed)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    writer.writerows(plant(number, chance) for number in range(1, rows + 1))
    return text.getvalue()


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
