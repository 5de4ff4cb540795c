# bench/peers/peer.py: how a Python library answers the requests of engine.h.
#
#   class Mine(peer.Peer):
#       def about(self): ...
#       def prepare(self, task): ...   # returns {pass name: function that runs it once}
#   peer.serve(Mine(threads))
#
# The process is started as `python mine.py THREADS`, so that a library can be told before it is imported.

import os
import sys
import time


class Unavailable(Exception):
    """What this peer does not have."""


class Task:
    """One point: a cell, its sizes, and the folders of its data and of our results."""

    def __init__(self, cell, steps, batch, inputs, units, threads, data, results):
        self.cell = cell
        self.steps, self.batch, self.inputs, self.units = int(steps), int(batch), int(inputs), int(units)
        self.data, self.results = data, results

    def read(self, name, *shape):
        import numpy
        return numpy.fromfile(os.path.join(self.data, name + ".f32"), dtype=numpy.float32).reshape(shape)

    def read_parameters(self):
        """All weights by name: two axes where their length is a multiple of what follows from the name."""
        units, inputs = self.units, self.inputs
        others = {"x", "y_adj", "h0", "c0", "n0", "m0", "h", "c"}
        names = [name[:-4] for name in sorted(os.listdir(self.data)) if name.endswith(".f32")]
        return {name: self.read(name, *self.shape_of(name, inputs, units)) for name in names if name not in others}

    @staticmethod
    def shape_of(name, inputs, units):
        if name[0] in "WR":
            return (-1, inputs)
        if name[0] in "UQ":
            return (-1, units)
        return (-1,)

    def write(self, name, values):
        import numpy
        numpy.ascontiguousarray(values, dtype=numpy.float32).tofile(os.path.join(self.results, name + ".f32"))


class Peer:
    def about(self):
        raise NotImplementedError

    def prepare(self, task):
        raise NotImplementedError


def serve(peer, threads):
    # What a library prints must not be taken for an answer.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    clock = time.process_time if threads == 1 else time.perf_counter
    passes = {}
    for line in sys.stdin:
        verb, *words = line.split()
        try:
            if verb == "about":
                answer = peer.about()
            elif verb == "prepare":
                passes.clear()
                passes.update(peer.prepare(Task(*words)))
                answer = " ".join(["ok", *passes])
            else:
                run, count = passes[words[0]], int(words[1])
                start = clock()
                for _ in range(count):
                    run()
                answer = repr((clock() - start) / count)
        except Exception as failure:  # whatever goes wrong in a peer is its answer
            passes.clear()
            text = failure.strerror if isinstance(failure, OSError) else str(failure)  # without its path
            reason = (text or "").strip().splitlines() or [type(failure).__name__]
            answer = "no " + reason[0][:200]
        answers.write(answer + "\n")
