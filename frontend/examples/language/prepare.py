"""prepare.py DICTIONARIES FOLDER: words of Debian's word lists and their languages, as training.tsv, test.tsv and more.tsv.

Words are in lower case, of three letters or more and of one language only; as many of each language. A tenth of them,
chosen by a hash of the word, is the test; more.tsv has words that are in neither. Also prints how often a naive Bayes classifier over character n-grams is right
about it (McCallum & Nigam 1998), with the longest n-gram and the smoothing that are best on a part of the training words.
"""

import collections
import hashlib
import math
import os
import sys

LISTS = {
    "american-english": "English", "ngerman": "German", "french": "French", "spanish": "Spanish",
    "italian": "Italian", "dutch": "Dutch", "swedish": "Swedish",
}
WORDS_EACH = 40000
MORE_EACH = 10000


def number(word):
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:8], "big")


def read(path):
    data = open(path, "rb").read()
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        text = data.decode("latin-1")
    words = {line.strip().lower() for line in text.splitlines()}
    return {word for word in words if len(word) >= 3 and word.isalpha()}


def grams(word, longest):
    text = f"^{word}$"
    return [text[i:i + n] for n in range(1, longest + 1) for i in range(len(text) - n + 1)]


class NaiveBayes:
    def __init__(self, pairs, longest):
        self.longest = longest
        self.counts = collections.defaultdict(collections.Counter)
        for word, language in pairs:
            self.counts[language].update(grams(word, longest))
        self.totals = {language: sum(counter.values()) for language, counter in self.counts.items()}
        self.kinds = len(set().union(*self.counts.values()))

    def language(self, word, smoothing):
        def score(language):
            counter, total = self.counts[language], self.totals[language] + smoothing * self.kinds
            return sum(math.log((counter[gram] + smoothing) / total) for gram in grams(word, self.longest))
        return max(self.counts, key=score)

    def accuracy(self, pairs, smoothing):
        return sum(self.language(word, smoothing) == language for word, language in pairs) / len(pairs)


def main():
    folder, out = sys.argv[1:]
    lists = {language: read(os.path.join(folder, name)) for name, language in LISTS.items()}
    times = collections.Counter(word for words in lists.values() for word in words)
    pairs, more = [], []
    for language, words in lists.items():
        own = sorted((word for word in words if times[word] == 1), key=number)
        pairs += [(word, language) for word in own[:WORDS_EACH]]
        more += [(word, language) for word in own[WORDS_EACH:WORDS_EACH + MORE_EACH]]
    pairs.sort(key=lambda pair: number(pair[0] + " order"))
    test = [pair for pair in pairs if number(pair[0] + " test") % 10 == 0]
    training = [pair for pair in pairs if number(pair[0] + " test") % 10 != 0]
    for name, part in (("training", training), ("test", test), ("more", more)):
        with open(os.path.join(out, f"{name}.tsv"), "w", encoding="utf-8") as file:
            file.writelines(f"{word}\t{language}\n" for word, language in part)
    print(f"{len(training)} words to train on, {len(test)} to test, {len(LISTS)} languages")

    cut = len(training) * 9 // 10
    best = max((NaiveBayes(training[:cut], longest).accuracy(training[cut:], smoothing), longest, smoothing)
               for longest in (4, 5, 6, 7) for smoothing in (0.001, 0.01, 0.1))
    bayes = NaiveBayes(training, best[1])
    accuracy, of_more = (100 * bayes.accuracy(part, best[2]) for part in (test, more))
    print(f"naive Bayes, n-grams up to {best[1]}, smoothing {best[2]}: {accuracy:.2f} % right, of more {of_more:.2f} %")


if __name__ == "__main__":
    main()
