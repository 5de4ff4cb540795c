# bench/peers/run.py: measures our kernels and their peers in turns, and puts the comparison into bench/README.md.
#
#   python3 bench/peers/run.py --bench=PROGRAM --folder=FOLDER [--only=REGEX] [--peers=REGEX] [--threads=1]
#     [--repetitions=N]
#
# Every engine (engine.h) is a process that stays; between its turns it is stopped, so that no idle thread of it spins.
# At each point ours makes the data, all prepare, the results of each are compared with those of our program in f64, and
# then repetitions of all engines alternate.
# Standard library only.

import argparse
import json
import math
import os
import re
import select
import shutil
import signal
import statistics
import subprocess
import sys

import install
import table

SHORTEST_SECONDS = 0.03  # of one repetition
MOST_GROWTH = 100  # of the calls that are tried, until they take about as long
TOLERANCE = 1e-4  # relative to the largest value of a tensor
ILL_CONDITIONED = 1e-2  # where ours in f32 is as far from f64, nothing is compared
PATIENCE = 600  # seconds for an answer: torch.compile takes long
OURS = "ours"


class Refused(Exception):
    """An engine answered "no", and why."""


class Engine:
    """A process that answers requests, asleep between them."""

    def __init__(self, command, variables, threads):
        processors = sorted(os.sched_getaffinity(0))
        # Libraries that count processors instead of listening to a variable see as many as they may use.
        allowed = processors[-1:] if threads == 1 else processors[:threads]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, **variables}, preexec_fn=lambda: os.sched_setaffinity(0, allowed))
        self.pending = b""

    def ask(self, request):
        """The answer, or "no REASON"."""
        if self.process.poll() is not None:
            return "no it ended"
        self.process.send_signal(signal.SIGCONT)
        try:
            self.process.stdin.write((request + "\n").encode())
            self.process.stdin.flush()
            return self.read_line()
        except OSError:
            return "no it ended"
        finally:
            if self.process.poll() is None:
                self.process.send_signal(signal.SIGSTOP)

    def seconds_a_call(self, each, count):
        answer = self.ask("run %s %d" % (each, count))
        if answer.startswith("no "):
            raise Refused(answer[3:])
        return float(answer)

    def calls_of_a_repetition(self, each):
        """How many take SHORTEST_SECONDS. The first ones are slow and the clock is coarse, so that few do not tell."""
        count, seconds = 1, 0
        while seconds < SHORTEST_SECONDS / 4:
            seconds = count * self.seconds_a_call(each, count)
            count = math.ceil(count * min(MOST_GROWTH, SHORTEST_SECONDS / max(seconds, 1e-9)))
        return count

    def read_line(self):
        output = self.process.stdout.fileno()
        while b"\n" not in self.pending:
            if not select.select([output], [], [], PATIENCE)[0]:
                self.end()
                return "no no answer in %d s" % PATIENCE
            part = os.read(output, 1 << 16)
            if not part:
                self.process.wait()
                return "no it ended with code %d" % self.process.returncode
            self.pending += part
        line, self.pending = self.pending.split(b"\n", 1)
        return line.decode()

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


class Comparison:
    def __init__(self, options):
        self.options = options
        self.makers, self.engines = {}, {}
        self.versions, self.failures = {}, {}
        # One engine of each, ours too, for every number of threads.
        self.makers[OURS] = lambda threads: ([options.bench, "--serve"], {})
        for name, make in install.PEERS.items():
            if re.search(options.peers, name):
                try:
                    self.makers[name] = make(options.folder)
                except (install.Missing, OSError) as failure:
                    self.fail(name, str(failure))

    def fail(self, name, reason):
        if reason not in self.failures.setdefault(name, []):
            self.failures[name].append(reason)
            print("%s: %s" % (name, reason), flush=True)

    def engine(self, name, threads):
        key = (name, threads)
        if key not in self.engines:
            command, variables = self.makers[name](threads)
            self.engines[key] = Engine(command, variables, threads)
            about = self.engines[key].ask("about")
            if about.startswith("no "):
                self.fail(name, "does not start: " + about[3:])
            else:
                self.versions[name] = about
        return self.engines[key]

    def ask_ours(self, request, threads=1):
        return self.engine(OURS, threads).ask(request)

    def prepare(self, point, threads):
        """The engines that are ready and agree with ours, and the passes of each."""
        cell, *sizes = point
        data = os.path.join(self.options.folder, "exchange")
        shutil.rmtree(data, ignore_errors=True)
        ready = {}
        for name in self.makers:
            results = os.path.join(data, re.sub(r"\W+", "_", name))
            os.makedirs(results)
            sizes_text = " ".join(map(str, sizes))
            answer = self.engine(name, threads).ask(
                "prepare %s %s %d %s %s" % (cell, sizes_text, threads, data, results))
            place = "%s/%s on %d" % (cell, ",".join(map(str, sizes)), threads)
            if not answer.startswith("ok"):
                # What a peer does not offer is no failure of it.
                if not re.match(r"no (such|layer|operator|threads|streams|measured|no )", answer) or name == OURS:
                    self.fail(name, "%s: %s" % (place, answer[3:]))
                if name == OURS:
                    break
                continue
            difference = "0 -"
            if not cell.endswith(":bf16"):  # it rounds its weights, on purpose
                difference = self.ask_ours("compare" if name == OURS else "compare " + results, threads)
            relative = math.inf if difference.startswith("no ") else float(difference.split()[0])
            if name == OURS:
                # Where f32 alone moves our results further, that is how well the point can be computed.
                limit = max(TOLERANCE, 4 * relative)
            if not relative <= (TOLERANCE if name == OURS else limit):
                self.fail(name, "%s: differs from f64 by %s" % (place, " in ".join(difference.split(" ", 1))))
                if name != OURS:
                    continue
                if not relative <= ILL_CONDITIONED:
                    break
            ready[name] = answer.split()[1:]
        shutil.rmtree(data, ignore_errors=True)
        return ready

    def measure(self, point, threads):
        """Medians: {pass: {engine: seconds}}."""
        ready = self.prepare(point, threads)
        passes = ready.get(OURS, [])
        samples = {name: {each: [] for each in passes if each in ready[name]} for name in ready}
        counts = {}
        for repetition in range(self.options.repetitions + 1):
            for each in passes:
                for name in ready:
                    if each not in samples[name]:
                        continue
                    engine = self.engine(name, threads)
                    try:
                        if repetition == 0:
                            counts[name, each] = engine.calls_of_a_repetition(each)
                        else:
                            samples[name][each].append(engine.seconds_a_call(each, counts[name, each]))
                    except Refused as refused:
                        self.fail(name, str(refused))
                        del samples[name][each]
        for name in ready:
            self.engine(name, threads).ask("prepare none 0 0 0 0 %d - -" % threads)  # lets its memory go
        return {each: {name: statistics.median(samples[name][each]) for name in samples if samples[name].get(each)}
                for each in passes}

    def run(self):
        results = {"limits": json.loads(self.ask_ours("limits")), "points": []}
        for point in json.loads(self.ask_ours("grid")):
            cell, *sizes = point
            name = "%s/%s" % (cell, ",".join(map(str, sizes)))
            if not re.search(self.options.only, name):
                continue
            for threads in [1] if sizes[:3] == [1, 1, 1] or self.options.threads == 1 else [1, 2]:
                seconds = self.measure(point, threads)
                results["points"].append({"cell": cell, "size": sizes, "threads": threads, "seconds": seconds})
                for each, by_name in seconds.items():
                    times = ", ".join("%s %.3g us" % (engine, 1e6 * time) for engine, time in by_name.items())
                    print("%s/%s/%d: %s" % (name, each, threads, times), flush=True)
        results["versions"], results["failures"] = self.versions, self.failures
        return results

    def end(self):
        for engine in self.engines.values():
            engine.end()


def main():
    parser = argparse.ArgumentParser(description="Measures our kernels and their peers in turns.")
    parser.add_argument("--bench", required=True, help="our engine")
    parser.add_argument("--folder", required=True, help="where peers are installed and results go")
    parser.add_argument("--only", default="", help="points whose name CELL/T,B,I,H matches; nothing is written then")
    parser.add_argument("--peers", default="", help="peers whose name matches; nothing is written then")
    parser.add_argument("--threads", type=int, default=2, help="1 leaves out what is measured on two threads")
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    options.folder = os.path.abspath(options.folder)
    os.makedirs(options.folder, exist_ok=True)
    comparison = Comparison(options)
    try:
        results = comparison.run()
    finally:
        comparison.end()
    with open(os.path.join(options.folder, "results.json"), "w") as file:
        json.dump(results, file, indent=1)
    text = table.report(results)
    print("\n" + text)
    if not options.only and not options.peers:
        table.write(text)


if __name__ == "__main__":
    sys.exit(main())
