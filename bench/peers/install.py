# bench/peers/install.py: the peers: how each is installed below one folder, and how its engine is started.
#
# Python libraries come from PyPI into virtual environments of their own. oneDNN comes twice, from Debian and from PyPI;
# one C++ engine is built against each. What cannot be had is left out with a line that says why.

import hashlib
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


class Missing(Exception):
    """A peer that cannot be had here."""


def run(*command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        lines = [line for line in done.stdout.splitlines() if "rror" in line] or done.stdout.splitlines() or [""]
        raise Missing("`%s` failed: %s" % (os.path.basename(command[0]), lines[0].strip()[:200]))


def environment(folder, name, *packages):
    """A virtual environment with these packages; its Python."""
    path = os.path.join(folder, name)
    done = os.path.join(path, "installed")
    if not os.path.exists(done):
        print("installing %s into %s" % (" ".join(packages), path), flush=True)
        shutil.rmtree(path, ignore_errors=True)
        run(sys.executable, "-m", "venv", path)
        run(os.path.join(path, "bin", "pip"), "install", "--quiet", "--no-cache-dir", *packages)
        open(done, "w").close()
    return os.path.join(path, "bin", "python")


def program(folder, name, source, compiler, *flags):
    """An engine built from one source file."""
    if shutil.which(compiler) is None:
        raise Missing("no %s" % compiler)
    path, source = os.path.join(folder, name), os.path.join(HERE, source)
    digest = hashlib.sha256(" ".join([compiler, *flags]).encode())
    for file in [source, os.path.join(HERE, "engine.h")]:
        with open(file, "rb") as contents:
            digest.update(contents.read())
    # The digest of what it was built from is in the program's name, so that a change builds it again.
    path += "_" + digest.hexdigest()[:12]
    if not os.path.exists(path):
        print("building %s" % path, flush=True)
        run(compiler, "-std=c++20", source, "-o", path, *flags)
    return path


def eigen(compiler, name):
    def make(folder):
        flags = ["-O3", "-march=native", "-ffast-math", "-DNDEBUG", "-DEIGEN_STACK_ALLOCATION_LIMIT=0"]
        path = program(folder, name, "eigen.cpp", compiler, *flags, "-isystem", "/usr/include/eigen3")
        return lambda threads: ([path], {})
    return make


def onednn_debian(folder):
    path = program(folder, "onednn_debian_engine", "onednn.cpp", "g++", "-O2", "-fopenmp", "-ldnnl")
    return lambda threads: ([path], {"OMP_NUM_THREADS": str(threads)})


def onednn_pypi(package):
    """The library inside a PyPI package: its threads are OpenMP's or, in newer ones, those of a SYCL device."""
    def make(folder):
        environment(folder, package, package)
        root = os.path.join(folder, package)
        library = os.path.join(root, "lib")
        path = program(folder, package + "_engine", "onednn.cpp", "g++", "-O2", "-fopenmp",
                       "-I" + os.path.join(root, "include"), "-L" + library, "-ldnnl", "-Wl,-rpath," + library,
                       "-Wl,--allow-shlib-undefined")
        variables = {"LD_LIBRARY_PATH": library, "OCL_ICD_FILENAMES": os.path.join(library, "libintelocl.so")}
        return lambda threads: ([path], {**variables, "OMP_NUM_THREADS": str(threads)})
    return make


def python_peer(name, packages, script, *arguments):
    def make(folder):
        python = environment(folder, name, *packages)
        return lambda threads: ([python, os.path.join(HERE, script), str(threads), *arguments],
                                {"OMP_NUM_THREADS": str(threads)})
    return make


TORCH = ("torch", ["torch", "numpy"], "torch_peer.py")

# Name and installation of every peer; a maker returns what starts it on so many threads. PyPI's newest oneDNN runs on a
# SYCL device, which costs time at every call; the last one built with OpenMP is measured too.
PEERS = {
    "oneDNN (Debian)": onednn_debian,
    "oneDNN (PyPI)": onednn_pypi("onednn-devel"),
    "oneDNN (PyPI, OpenMP)": onednn_pypi("onednn-devel-cpu-gomp"),
    "PyTorch": python_peer(*TORCH, "layer"),
    "PyTorch eager": python_peer(*TORCH, "eager"),
    "torch.compile": python_peer(*TORCH, "compiled"),
    "ONNX Runtime": python_peer("onnxruntime", ["onnxruntime", "onnx", "numpy"], "onnx_peer.py"),
    "JAX": python_peer("jax", ["jax", "numpy"], "jax_peer.py"),
    "Eigen (g++)": eigen("g++", "eigen_gcc_engine"),
    "Eigen (clang++)": eigen("clang++-22", "eigen_clang_engine"),
}
