"""prepare.py CMUDICT FOLDER: the CMU pronouncing dictionary as training.tsv and test.tsv: letters, a tab, phonemes.

Without stress marks, as in Yao & Zweig 2015; words of letters and apostrophes only. A tenth of the words, chosen by a hash
of the word, is the test: all pronunciations of a word are in the same part.
"""

import hashlib
import os
import re
import sys


def number(word):
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")


def main():
    dictionary, out = sys.argv[1:]
    words = {}
    for line in open(dictionary, encoding="utf-8"):
        entry = line.split("#")[0].split()
        if len(entry) < 2:
            continue
        word = re.sub(r"\(\d+\)$", "", entry[0])
        phonemes = " ".join(re.sub(r"\d", "", phoneme) for phoneme in entry[1:])
        if re.fullmatch(r"[a-z']+", word) and phonemes not in words.setdefault(word, []):
            words[word].append(phonemes)
    counts = {}
    for name in ("training", "test"):
        part = sorted((word for word in words if (number(word + " test") % 10 == 0) == (name == "test")), key=number)
        counts[name] = len(part)
        with open(os.path.join(out, f"{name}.tsv"), "w", encoding="utf-8") as file:
            file.writelines(f"{word}\t{phonemes}\n" for word in part for phonemes in words[word])
    print(f"{counts['training']} words to train on, {counts['test']} to test")


if __name__ == "__main__":
    main()
