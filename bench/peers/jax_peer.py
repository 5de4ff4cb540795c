# bench/peers/jax_peer.py: JAX as an engine: cells as one would write them, `lax.scan` over time, under `jit`.
#
#   python jax_peer.py THREADS
#
# Forward for training is jax.vjp under jit, whose result keeps what backward needs; backward is that function under
# jit. The input projection of all steps is one product before the scan where the cell allows it.

import os
import sys

import peer

THREADS = int(sys.argv[1])
os.environ["JAX_PLATFORMS"] = "cpu"
if THREADS == 1:
    os.environ["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"

import jax
import jax.numpy as jnp
import numpy


def norm(values):
    d = values - values.mean(-1, keepdims=True)
    return d * jax.lax.rsqrt((d * d).mean(-1, keepdims=True) + 1e-5)


def project_gates(x, p):
    return x @ p["W"].T + p["b"]


def lstm(x, state, p):
    h, c = state
    i, f, g, o = jnp.split(x + h @ p["U"].T, 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(c), c


def gru(x, state, p):
    (h,) = state
    xr, xz, xn = jnp.split(x, 3, -1)
    hr, hz, hn = jnp.split(h @ p["U"].T + p["d"], 3, -1)
    r, z = jax.nn.sigmoid(xr + hr), jax.nn.sigmoid(xz + hz)
    n = jnp.tanh(xn + r * hn)
    return ((1 - z) * n + z * h,)


def elman(x, state, p):
    return (jnp.tanh(x + state[0] @ p["U"].T),)


def layernorm_lstm(x, state, p):
    h, c = state
    i, f, g, o = jnp.split(x + p["gh"] * norm(h @ p["U"].T), 4, -1)
    c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
    return jax.nn.sigmoid(o) * jnp.tanh(p["gc"] * norm(c) + p["bc"]), c


def slstm(x, state, p):
    h, c, n, m = state
    i, f, z, o = jnp.split(x + h @ p["U"].T, 4, -1)
    kept = jax.nn.log_sigmoid(f) + m
    m = jnp.maximum(kept, i)
    forget, write = jnp.exp(kept - m), jnp.exp(i - m)
    c = forget * c + write * jnp.tanh(z)
    n = forget * jnp.abs(n) + write
    return jax.nn.sigmoid(o) * c / n, c, n, m


def peephole_lstm(x, state, p):
    h, c = state
    i, f, g, o = jnp.split(x + h @ p["U"].T, 4, -1)
    new = jax.nn.sigmoid(f + p["pf"] * c) * c + jax.nn.sigmoid(i + p["pi"] * c) * jnp.tanh(g)
    return jax.nn.sigmoid(o + p["po"] * new) * jnp.tanh(new), new


def gru_reset_before(x, state, p):
    (h,) = state
    gates, new = jnp.split(x, [2 * h.shape[-1]], -1)
    r, z = jnp.split(jax.nn.sigmoid(gates + h @ p["U"].T), 2, -1)
    n = jnp.tanh(new + (r * h) @ p["Un"].T)
    return ((1 - z) * n + z * h,)


def mogrifier_lstm(x, state, p):
    h, c = state
    x = 2 * jax.nn.sigmoid(h @ p["Q1"].T) * x
    h = 2 * jax.nn.sigmoid(x @ p["R2"].T) * h
    x = 2 * jax.nn.sigmoid(h @ p["Q3"].T) * x
    h = 2 * jax.nn.sigmoid(x @ p["R4"].T) * h
    x = 2 * jax.nn.sigmoid(h @ p["Q5"].T) * x
    return lstm(project_gates(x, p), (h, c), p)


# Cell: step, projection of the input, names of the states.
CELLS = {
    "lstm": (lstm, project_gates, ["h0", "c0"]),
    "gru": (gru, project_gates, ["h0"]),
    "elman": (elman, project_gates, ["h0"]),
    "layernorm_lstm": (layernorm_lstm, lambda x, p: p["gx"] * norm(x @ p["W"].T) + p["b"], ["h0", "c0"]),
    "slstm": (slstm, project_gates, ["h0", "c0", "n0", "m0"]),
    "peephole_lstm": (peephole_lstm, project_gates, ["h0", "c0"]),
    "gru_reset_before": (
        gru_reset_before,
        lambda x, p: jnp.concatenate([project_gates(x, p), x @ p["Wn"].T + p["bn"]], -1),
        ["h0"],
    ),
    "mogrifier_lstm": (mogrifier_lstm, lambda x, p: x, ["h0", "c0"]),
}


class Jax(peer.Peer):
    def about(self):
        return "JAX %s" % jax.__version__

    def prepare(self, task):
        if task.cell not in CELLS:
            raise peer.Unavailable("no such cell here")
        if task.steps == 1:
            raise peer.Unavailable("streams are not measured here")
        step, project, state_names = CELLS[task.cell]
        jax.clear_caches()
        p = {name: jnp.asarray(values) for name, values in task.read_parameters().items()}
        states = tuple(jnp.asarray(task.read(name, task.batch, task.units)) for name in state_names)
        x = jnp.asarray(task.read("x", task.steps, task.batch, task.inputs))
        y_adj = jnp.asarray(task.read("y_adj", task.steps, task.batch, task.units))

        def sequence(x, states, p):
            def body(state, x_t):
                state = step(x_t, state, p)
                return state, state[0]

            final, y = jax.lax.scan(body, states, project(x, p))
            return y, final

        inference = jax.jit(sequence)
        # The final states get no gradient; vjp keeps them beside.
        forward = jax.jit(lambda x, states, p: jax.vjp(sequence, x, states, p, has_aux=True))
        backward = jax.jit(lambda pull, y_adj: pull(y_adj))
        kept = {}

        def run_inference():
            jax.block_until_ready(inference(x, states, p))

        def run_forward():
            kept["y"], kept["pull"], kept["states"] = jax.block_until_ready(forward(x, states, p))

        def run_backward():
            kept["gradients"] = jax.block_until_ready(backward(kept["pull"], y_adj))

        run_inference()
        run_forward()
        run_backward()
        task.write("y", numpy.asarray(kept["y"]))
        for name, values in zip(["hT", "cT", "nT", "mT"], kept["states"]):
            task.write(name, numpy.asarray(values))
        x_adj, states_adj, p_adj = kept["gradients"]
        task.write("x_adj", numpy.asarray(x_adj))
        for name, values in zip(state_names, states_adj):
            task.write(name + "_adj", numpy.asarray(values))
        for name, values in p_adj.items():
            task.write(name + "_adj", numpy.asarray(values))
        return {"forward": run_forward, "backward": run_backward, "inference": run_inference}


peer.serve(Jax(), THREADS)
