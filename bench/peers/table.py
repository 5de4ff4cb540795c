# bench/peers/table.py: what run.py measured, as the tables of bench/README.md beside their targets.

import math
import os

BENCH = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
OURS = "ours"
TORCH, EAGER, COMPILED = "PyTorch", "PyTorch eager", "torch.compile"
COMMON = ["lstm", "gru", "elman"]


def read_targets():
    rows = []
    with open(os.path.join(BENCH, "targets.txt")) as file:
        for line in file:
            words = line.split("#")[0].split()
            if words:
                rows.append((words[0], *(word.split("|") for word in words[1:4]), float(words[4])))
    return rows


class Marker:
    """Writes figures beside their targets, all of them `at least`: bold if met, else followed by by how much not."""

    def __init__(self):
        self.rows, self.met, self.all = read_targets(), 0, 0

    def find(self, kind, cell="*", size="*", each="*"):
        for row_kind, cells, sizes, passes, value in self.rows:
            if row_kind == kind and all(word in words or words == ["*"]
                                        for word, words in [(cell, cells), (size, sizes), (each, passes)]):
                return value
        return None

    def mark(self, figure, target):
        text = "%.2fx" % figure
        if target is None:
            return text
        self.all += 1
        if figure >= target:
            self.met += 1
            return "**%s**" % text
        return "%s (%+.2f)" % (text, min(figure - target, -0.01))


def mean(values):
    """Geometric; nothing for nothing."""
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def best_of(by_name):
    """The fastest peer and its time, or nothing."""
    others = {name: time for name, time in by_name.items() if name != OURS}
    return min(others.items(), key=lambda item: item[1]) if others and OURS in by_name else None


def microseconds(seconds):
    return "%.0f" % (1e6 * seconds) if seconds >= 1e-4 else "%.3g" % (1e6 * seconds)


def size_text(point):
    return ",".join(map(str, point["size"]))


def is_stream(point):
    return point["size"][:3] == [1, 1, 1]


def sequence_table(points, marker):
    """One row a point: what ours takes, and by how much the fastest peer takes longer."""
    lines = [
        "| cell | T, B, I, H | forward, us | fastest peer | backward, us | fastest peer | inference, us | fastest peer |"
        " two threads: forward | backward |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    two = {(point["cell"], size_text(point)): point["seconds"] for point in points if point["threads"] == 2}
    for point in points:
        if point["threads"] != 1 or point["cell"] not in COMMON or is_stream(point):
            continue
        cell, size = point["cell"], size_text(point)
        row = [cell, size]
        for each in ("forward", "backward", "inference"):
            by_name = point["seconds"].get(each, {})
            row.append(microseconds(by_name[OURS]) if OURS in by_name else "")
            best = best_of(by_name)
            row.append("%s %s" % (marker.mark(best[1] / by_name[OURS], marker.find("best", cell, size, each)), best[0])
                       if best else "")
        for each in ("forward", "backward"):
            by_name = two.get((cell, size), {}).get(each, {})
            best = best_of(by_name)
            row.append("%.2fx %s" % (best[1] / by_name[OURS], best[0]) if best else "")
        lines.append("| %s |" % " | ".join(row))
    return lines + [""] if len(lines) > 2 else []


def stream_table(points, marker):
    lines = ["| one step, B = 1, I = 1 | H | ours, ns | fastest peer, ns | which | ratio |",
             "| --- | --- | --- | --- | --- | --- |"]
    ratios = {}
    steps = {(point["cell"], size_text(point)): point["seconds"].get("step", {}) for point in points}
    for point in points:
        if not is_stream(point):
            continue
        # Weights stored in 16 bits have no peer of their own: those that compute the same cell in f32 are.
        by_name = {**steps.get((point["cell"].split(":")[0], size_text(point)), {}), **point["seconds"].get("step", {})}
        best = best_of(by_name)
        if best is None:
            continue
        name, time = best
        cell = point["cell"]
        ratios.setdefault(cell, []).append(time / by_name[OURS])
        ratio = marker.mark(ratios[cell][-1], marker.find("best", cell, size_text(point), "step"))
        lines.append("| %s | %d | %.0f | %.0f | %s | %s |" %
                     (cell, point["size"][3], 1e9 * by_name[OURS], 1e9 * time, name, ratio))
    for cell, values in ratios.items():
        lines.append("| %s | geometric mean | | | | %s |" %
                     (cell, marker.mark(mean(values), marker.find("mean_stream", cell))))
    return lines + [""] if len(lines) > 2 else []


def python_table(points, marker):
    """Forward and backward of cells that are written in PyTorch."""
    lines = ["| forward and backward | T, B, I, H | ours, us | PyTorch eager | torch.compile | JAX |",
             "| --- | --- | --- | --- | --- | --- |"]
    for point in points:
        both = [point["seconds"].get(each, {}) for each in ("forward", "backward")]
        times = {name: both[0][name] + both[1][name] for name in both[0] if name in both[1]}
        if point["threads"] != 1 or point["cell"] in COMMON or OURS not in times:
            continue
        row = [point["cell"], size_text(point), microseconds(times[OURS])]
        for name, kind in [(EAGER, "eager"), (COMPILED, "compiled"), ("JAX", "best")]:
            target = marker.find(kind, point["cell"], size_text(point), "forward")
            row.append(marker.mark(times[name] / times[OURS], target) if name in times else "")
        lines.append("| %s |" % " | ".join(row))
    return lines + [""] if len(lines) > 2 else []


def summary(points, marker):
    best, torch, slower = [], [], []
    for point in points:
        if point["threads"] != 1 or point["cell"] not in COMMON or is_stream(point):
            continue
        for each in ("forward", "backward"):
            by_name = point["seconds"].get(each, {})
            fastest = best_of(by_name)
            if fastest is None:
                continue
            best.append(fastest[1] / by_name[OURS])
            if best[-1] < 1:
                slower.append("%s/%s/%s" % (point["cell"], size_text(point), each))
            if TORCH in by_name:
                torch.append(by_name[TORCH] / by_name[OURS])
    lines = []
    if best:
        lines.append("Geometric mean over forward and backward of %s on one thread: %s the fastest peer at each point." %
                     (", ".join(COMMON), marker.mark(mean(best), marker.find("mean_best"))))
    if torch:
        lines.append("Against PyTorch's own layers: %s." % marker.mark(mean(torch), marker.find("mean_torch")))
    if best:
        lines.append("Slower than a peer: %s." % (", ".join(slower) or "nowhere"))
    return lines + [""] if lines else []


def report(results):
    points, marker = results["points"], Marker()
    limits = results["limits"]
    lines = ["%s, %s, multiply-add peak %.0f GFLOP/s; a ratio is the peer's time over ours." %
             (limits["processor"], limits["unit"], 1e-9 * limits["operations"]), ""]
    lines += sequence_table(points, marker) + stream_table(points, marker) + python_table(points, marker)
    lines += summary(points, marker)
    versions = ["%s (%s)" % (name, version) for name, version in results["versions"].items() if name != OURS]
    lines.append("Measured: %s." % ("; ".join(versions) or "no peer"))
    for name, reasons in results["failures"].items():
        lines.append("%s: %s%s." % (name, reasons[0], " (and %d more)" % (len(reasons) - 1) if reasons[1:] else ""))
    lines += ["", "Targets met: %d of %d." % (marker.met, marker.all)]
    return "\n".join(lines) + "\n"


def write(text):
    """Between the markers of bench/README.md."""
    path = os.path.join(BENCH, "README.md")
    with open(path) as file:
        readme = file.read()
    begin, end = "<!-- peers: written by ./dev bench -->\n", "<!-- end of peers -->\n"
    before, rest = readme.split(begin, 1)
    after = rest.split(end, 1)[1]
    with open(path, "w") as file:
        file.write(before + begin + text + end + after)
