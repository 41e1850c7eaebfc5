#!/usr/bin/env python3
"""Writes sensor.csv and sensor_new.csv: a simulated pressure sensor on a test bench.

    examples/data/make_sensor.py [--check]

The voltage of the bridge in mV depends on the pressure in kPa and, unwanted, on the temperature in degrees
Celsius: the offset moves and the gain falls. It is read with noise of 0.6 mV. With --check nothing is
written; files that differ are an error. Needs Python 3.8, nothing else.
"""

import math
import pathlib
import random
import sys

FOLDER = pathlib.Path(__file__).resolve().parent


def voltage(pressure, temperature):
    p, t = pressure / 100, temperature - 25
    offset = 2 + 0.9 * math.tanh(t / 30)
    gain = 62 - 0.11 * t + 0.0006 * t**2
    return offset + gain * p * (1 - 0.12 * p + 0.05 * p**2)


def table(rows, stream):
    lines = ["# pressure sensor, simulated by make_sensor.py: mV, degrees Celsius, kPa", "voltage,temperature,pressure"]
    for _ in range(rows):
        pressure, temperature = stream.uniform(0, 200), stream.uniform(-20, 80)
        read = voltage(pressure, temperature) + stream.gauss(0, 0.6)
        lines.append(f"{read:.2f},{temperature:.1f},{pressure:.2f}")
    return "\n".join(lines) + "\n"


def main():
    stream = random.Random(17)
    for name, rows in [("sensor.csv", 200), ("sensor_new.csv", 100)]:
        text, path = table(rows, stream), FOLDER / name
        if "--check" not in sys.argv:
            path.write_text(text)
        elif path.read_text() != text:
            sys.exit(f"{path} is not what make_sensor.py writes")


if __name__ == "__main__":
    main()
