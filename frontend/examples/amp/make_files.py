#!/usr/bin/env python3
"""Writes what the example needs into a folder: amp.nam, a Neural Amp Modeler file of an LSTM of 16 units, and
guitar.wav, two seconds of a plucked string (Karplus & Strong 1983) and a second of silence, 48 kHz, mono, 16 bit.

The weights are drawn, not trained: the file has the form and the cost of a captured amplifier, not its sound.
"""
import json
import pathlib
import random
import struct
import sys
import wave

RATE = 48000
folder = pathlib.Path(sys.argv[1])
folder.mkdir(parents=True, exist_ok=True)
draw = random.Random(1)

hidden = 16
scale = hidden ** -0.5
numbers = lambda count, size: [draw.uniform(-size, size) for _ in range(count)]
weights = numbers(4 * hidden * (1 + hidden), 2 * scale) + numbers(4 * hidden, scale)
weights += [0.0] * hidden + [0.0] * hidden + numbers(hidden, scale) + [0.0]
(folder / "amp.nam").write_text(json.dumps({
    "version": "0.5.2", "architecture": "LSTM", "sample_rate": RATE,
    "config": {"input_size": 1, "hidden_size": hidden, "num_layers": 1}, "weights": weights}))

string = [draw.uniform(-0.5, 0.5) for _ in range(RATE // 110)]
samples = []
for _ in range(2 * RATE):
    samples.append(string[0])
    string.append(0.498 * (string[0] + string[1]))
    string.pop(0)
samples += [0.0] * RATE
with wave.open(str(folder / "guitar.wav"), "wb") as file:
    file.setnchannels(1)
    file.setsampwidth(2)
    file.setframerate(RATE)
    file.writeframes(b"".join(struct.pack("<h", round(32767 * value)) for value in samples))
