# bench/peers/torch_peer.py: PyTorch as an engine: `layer` its own nn.LSTM, nn.GRU and nn.RNN, `eager` and `compiled`
# cells of nobody, written as one would write them in Python, stepped by a loop.
#
#   python torch_peer.py THREADS layer|eager|compiled
#
# The input projection of all steps is one product before the loop where the cell allows it. `compiled` is the step
# under torch.compile: unrolling all steps into one graph takes it minutes.

import sys

import torch
from torch.nn import functional

import peer

THREADS, MODE = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(THREADS)
torch.set_num_interop_threads(1)


def norm(values):
    return functional.layer_norm(values, values.shape[-1:])


# step(x_t, state, p) -> state; what a step reads of the input is projected before, by project(x, p).
def project_gates(x, p):
    return functional.linear(x, p["W"], p["b"])


def layernorm_lstm(x, state, p):
    h, c = state
    i, f, g, o = (x + p["gh"] * norm(h @ p["U"].t())).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(p["gc"] * norm(c) + p["bc"]), c


def slstm(x, state, p):
    h, c, n, m = state
    i, f, z, o = (x + h @ p["U"].t()).chunk(4, -1)
    kept = functional.logsigmoid(f) + m
    m = torch.maximum(kept, i)
    forget, write = torch.exp(kept - m), torch.exp(i - m)
    c = forget * c + write * torch.tanh(z)
    n = forget * n.abs() + write
    return torch.sigmoid(o) * c / n, c, n, m


def peephole_lstm(x, state, p):
    h, c = state
    i, f, g, o = (x + h @ p["U"].t()).chunk(4, -1)
    new = torch.sigmoid(f + p["pf"] * c) * c + torch.sigmoid(i + p["pi"] * c) * torch.tanh(g)
    return torch.sigmoid(o + p["po"] * new) * torch.tanh(new), new


def gru_reset_before(x, state, p):
    (h,) = state
    gates, new = x.split([2 * h.shape[-1], h.shape[-1]], -1)
    r, z = torch.sigmoid(gates + h @ p["U"].t()).chunk(2, -1)
    n = torch.tanh(new + (r * h) @ p["Un"].t())
    return ((1 - z) * n + z * h,)


def mogrifier_lstm(x, state, p):
    h, c = state
    x = 2 * torch.sigmoid(h @ p["Q1"].t()) * x
    h = 2 * torch.sigmoid(x @ p["R2"].t()) * h
    x = 2 * torch.sigmoid(h @ p["Q3"].t()) * x
    h = 2 * torch.sigmoid(x @ p["R4"].t()) * h
    x = 2 * torch.sigmoid(h @ p["Q5"].t()) * x
    i, f, g, o = (project_gates(x, p) + h @ p["U"].t()).chunk(4, -1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


# Cell: step, projection of the input, names of the states.
CELLS = {
    "layernorm_lstm": (layernorm_lstm, lambda x, p: p["gx"] * norm(x @ p["W"].t()) + p["b"], ["h0", "c0"]),
    "slstm": (slstm, project_gates, ["h0", "c0", "n0", "m0"]),
    "peephole_lstm": (peephole_lstm, project_gates, ["h0", "c0"]),
    "gru_reset_before": (
        gru_reset_before,
        lambda x, p: torch.cat([functional.linear(x, p["W"], p["b"]), functional.linear(x, p["Wn"], p["bn"])], -1),
        ["h0"],
    ),
    "mogrifier_lstm": (mogrifier_lstm, lambda x, p: x, ["h0", "c0"]),
}
LAYERS = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU, "elman": torch.nn.RNN}


class Torch(peer.Peer):
    def about(self):
        return "PyTorch %s" % torch.__version__

    def prepare(self, task):
        if task.steps == 1:
            raise peer.Unavailable("streams are not measured here")
        if MODE == "layer":
            names, weights, states, forward = self.layer(task)
        else:
            names, weights, states, forward = self.loop(task)
        x = torch.from_numpy(task.read("x", task.steps, task.batch, task.inputs)).requires_grad_()
        y_adj = torch.from_numpy(task.read("y_adj", task.steps, task.batch, task.units))
        wanted = [x, *states, *weights]
        kept = {}

        def run_forward():
            kept["y"], kept["states"] = forward(x)

        def run_backward():
            kept["gradients"] = torch.autograd.grad([kept["y"]], wanted, [y_adj], retain_graph=True)

        def run_inference():
            with torch.no_grad():
                forward(x)

        run_inference()
        run_forward()
        run_backward()
        task.write("y", kept["y"].detach().numpy())
        for name, values in zip(["hT", "cT", "nT", "mT"], kept["states"]):
            task.write(name, values.detach().numpy())
        for name, values in zip(["x", *names], kept["gradients"]):
            task.write(name + "_adj", values.numpy())
        return {"forward": run_forward, "backward": run_backward, "inference": run_inference}

    def states(self, task, names):
        return [torch.from_numpy(task.read(name, task.batch, task.units)).requires_grad_() for name in names]

    def layer(self, task):
        if task.cell not in LAYERS:
            raise peer.Unavailable("no layer for this cell")
        layer = LAYERS[task.cell](task.inputs, task.units)
        p = {name: torch.from_numpy(values) for name, values in task.read_parameters().items()}
        with torch.no_grad():
            layer.weight_ih_l0.copy_(p["W"])
            layer.weight_hh_l0.copy_(p["U"])
            layer.bias_ih_l0.copy_(p["b"])
            layer.bias_hh_l0.copy_(p.get("d", torch.zeros_like(p["b"])))
        states = self.states(task, ["h0", "c0"] if task.cell == "lstm" else ["h0"])

        def forward(x):
            initial = tuple(state.unsqueeze(0) for state in states)
            y, final = layer(x, initial if len(initial) > 1 else initial[0])
            return y, final if len(initial) > 1 else (final,)

        weights = [layer.weight_ih_l0, layer.weight_hh_l0, layer.bias_ih_l0, layer.bias_hh_l0]
        second_bias = "d" if "d" in p else "bias_that_we_do_not_have"
        names = (["h0", "c0"] if task.cell == "lstm" else ["h0"]) + ["W", "U", "b", second_bias]
        return names, weights, states, forward

    def loop(self, task):
        if task.cell not in CELLS:
            raise peer.Unavailable("measured as a layer")
        step, project, state_names = CELLS[task.cell]
        if MODE == "compiled":
            torch.compiler.reset()
            step = torch.compile(step)
        p = {name: torch.from_numpy(values).requires_grad_() for name, values in task.read_parameters().items()}
        states = self.states(task, state_names)

        def forward(x):
            state, outputs = tuple(states), []
            for x_t in project(x, p).unbind(0):
                state = step(x_t, state, p)
                outputs.append(state[0])
            return torch.stack(outputs), state

        return state_names + list(p), list(p.values()), states, forward


peer.serve(Torch(), THREADS)
