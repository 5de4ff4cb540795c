#!/usr/bin/env python3
"""Makes goldens/: trained models of other programs, small and random, and what these programs compute with them.

    pip install torch onnx onnxruntime numpy safetensors
    python3 tests/interchange/make_goldens.py

NAME.EXT is the model; NAME.golden holds x, y and, from PyTorch, y_adj and the gradients, as safetensors in double.
Sequences are [T, B, ...].
"""
import json
import pathlib

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

HERE = pathlib.Path(__file__).parent / "goldens"
T, B = 6, 3


def parameters(module):
    return {name: value.detach().clone().contiguous() for name, value in module.state_dict().items()}


class Model(torch.nn.Module):
    def __init__(self, rnn, outputs):
        super().__init__()
        self.rnn = rnn
        if outputs:
            width = (rnn.proj_size or rnn.hidden_size) * (2 if rnn.bidirectional else 1)
            self.head = torch.nn.Linear(width, outputs)
        self.outputs = outputs

    def forward(self, x, lengths=None, state=None):
        if lengths is not None:
            x = torch.nn.utils.rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, _ = self.rnn(x, state)
        if lengths is not None:
            y, _ = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=T)
        return self.head(y) if self.outputs else y


def pytorch(name, rnn, outputs=0, lengths=None):
    model = Model(rnn, outputs).double()
    save_file(parameters(model), HERE / f"{name}.safetensors")
    x = torch.randn(T, B, rnn.input_size, dtype=torch.double, requires_grad=True)
    y = model(x, lengths)
    y_adj = torch.randn_like(y)
    if lengths is not None:
        for row, length in enumerate(lengths):
            y_adj[length:, row] = 0
    y.backward(y_adj)
    golden = {"x": x.detach(), "y": y.detach(), "y_adj": y_adj, "x_adj": x.grad}
    if lengths is not None:
        # The linear layer of padding is its bias, here; there padding is zero.
        for row, length in enumerate(lengths):
            golden["y"][length:, row] = 0
        golden["lengths"] = lengths.double()
    for parameter, value in model.named_parameters():
        golden["gradient:" + parameter] = value.grad
    save_file({key: value.contiguous() for key, value in golden.items()}, HERE / f"{name}.golden")


def save_golden(name, x, y, lengths=None):
    tensors = {"x": torch.tensor(np.asarray(x, dtype=np.float64)), "y": torch.tensor(np.asarray(y, dtype=np.float64))}
    if lengths is not None:
        tensors["lengths"] = torch.tensor(np.asarray(lengths, dtype=np.float64))
    save_file({key: value.contiguous() for key, value in tensors.items()}, HERE / f"{name}.golden")


def onnx_model(name, nodes, initializers, inputs, output, lengths=None):
    """Runs `nodes` on x [T, B, inputs] and keeps the model and `output`."""
    values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["T", "B", inputs])]
    x = np.random.randn(T, B, inputs).astype(np.float32)
    feed = {"x": x}
    if lengths is not None:
        values.append(helper.make_tensor_value_info("lengths", TensorProto.INT32, ["B"]))
        feed["lengths"] = np.array(lengths, dtype=np.int32)
    graph = helper.make_graph(
        nodes, name, values, [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value.astype(np.float32), key) for key, value in initializers.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, HERE / f"{name}.onnx")
    session = onnxruntime.InferenceSession(str(HERE / f"{name}.onnx"), providers=["CPUExecutionProvider"])
    save_golden(name, x, session.run([output], feed)[0], lengths)


def onnx_weights(directions, gates, inputs, hidden, peephole=False):
    random = lambda *shape: 0.4 * np.random.randn(*shape)
    weights = {"W": random(directions, gates * hidden, inputs), "R": random(directions, gates * hidden, hidden),
               "B": random(directions, 2 * gates * hidden)}
    if peephole:
        weights["P"] = random(directions, 3 * hidden)
    return weights


def join_directions(width):
    """What exporters put behind a bidirectional node: [T, 2, B, H] to [T, B, 2H]."""
    return [helper.make_node("Transpose", ["Y"], ["moved"], perm=[0, 2, 1, 3], name="move"),
            helper.make_node("Constant", [], ["shape"], value=numpy_helper.from_array(np.array([0, 0, width]))),
            helper.make_node("Reshape", ["moved", "shape"], ["joined"], name="join")]


def one_direction():
    return [helper.make_node("Constant", [], ["axes"], value=numpy_helper.from_array(np.array([1]))),
            helper.make_node("Squeeze", ["Y", "axes"], ["squeezed"], name="squeeze")]


def all_onnx():
    onnx_model("onnx_lstm",
               [helper.make_node("LSTM", ["x", "W", "R", "B", "", "", "", "P"], ["Y", "", ""], hidden_size=4,
                                 direction="bidirectional", clip=0.6, name="lstm")] + join_directions(8),
               onnx_weights(2, 4, 3, 4, peephole=True), 3, "joined")
    onnx_model("onnx_lstm_lengths",
               [helper.make_node("LSTM", ["x", "W", "R", "B", "lengths"], ["Y", "", ""], hidden_size=4, name="lstm")] +
               one_direction(), onnx_weights(1, 4, 3, 4), 3, "squeezed", [6, 2, 4])
    for reset in (0, 1):
        onnx_model(f"onnx_gru_{'before' if reset == 0 else 'after'}",
                   [helper.make_node("GRU", ["x", "W", "R", "B"], ["Y", ""], hidden_size=4, direction="reverse",
                                     linear_before_reset=reset, name="gru")] + one_direction(),
                   onnx_weights(1, 3, 3, 4), 3, "squeezed")
    weights = onnx_weights(1, 1, 3, 4)
    weights.update(M=np.random.randn(4, 2), c=np.random.randn(2))
    onnx_model("onnx_rnn",
               [helper.make_node("RNN", ["x", "W", "R", "B"], ["Y", ""], hidden_size=4, activations=["LeakyRelu"],
                                 activation_alpha=[0.3], name="rnn")] + one_direction() +
               [helper.make_node("MatMul", ["squeezed", "M"], ["product"], name="head"),
                helper.make_node("Add", ["product", "c"], ["sum"], name="bias"),
                helper.make_node("Sigmoid", ["sum"], ["y"], name="squash")], weights, 3, "y")


def keras_layers(lstm_or_gru, rnn, head, activation):
    """The layers as Keras keeps them: transposed, gates i f c o or z r h."""
    hidden = rnn.hidden_size
    order = [0, 1, 2, 3] if lstm_or_gru == "lstm" else [1, 0, 2]
    blocks = lambda value: torch.cat([value[g * hidden:(g + 1) * hidden] for g in order])
    kernel, recurrent = blocks(rnn.weight_ih_l0).T.tolist(), blocks(rnn.weight_hh_l0).T.tolist()
    if lstm_or_gru == "lstm":
        bias = blocks(rnn.bias_ih_l0 + rnn.bias_hh_l0).tolist()
    else:
        bias = [blocks(rnn.bias_ih_l0).tolist(), blocks(rnn.bias_hh_l0).tolist()]
    return [{"type": lstm_or_gru, "activation": "tanh", "shape": [None, None, hidden], "weights": [kernel, recurrent, bias]},
            {"type": "dense", "activation": activation, "shape": [None, None, head.out_features],
             "weights": [head.weight.T.tolist(), head.bias.tolist()]}]


def rtneural(kind):
    rnn = (torch.nn.LSTM if kind == "lstm" else torch.nn.GRU)(1, 4).double()
    head = torch.nn.Linear(4, 1).double()
    x = torch.randn(T, B, 1, dtype=torch.double)
    with torch.no_grad():
        y = torch.tanh(head(rnn(x)[0])) + (x if kind == "lstm" else 0)
        model = {"in_shape": [None, None, 1], "layers": keras_layers(kind, rnn, head, "tanh")}
    if kind == "lstm":
        model["in_skip"] = 1
    (HERE / f"rtneural_{kind}.json").write_text(json.dumps(model))
    save_golden(f"rtneural_{kind}", x, y)


def state_dict_as_json():
    model = Model(torch.nn.LSTM(1, 4), 1).double()
    x = torch.randn(T, B, 1, dtype=torch.double)
    tensors = {name: value.tolist() for name, value in parameters(model).items()}
    (HERE / "rtneural_pytorch.json").write_text(json.dumps({"state_dict": tensors}))
    with torch.no_grad():
        save_golden("rtneural_pytorch", x, model(x))


def nam():
    layers, hidden = 2, 3
    rnn = torch.nn.LSTM(1, hidden, layers).double()
    head = torch.nn.Linear(hidden, 1).double()
    first = torch.randn(2, layers, hidden, dtype=torch.double)
    x = torch.randn(T, B, 1, dtype=torch.double)
    weights = []
    with torch.no_grad():
        for layer in range(layers):
            both = torch.cat([getattr(rnn, f"weight_ih_l{layer}"), getattr(rnn, f"weight_hh_l{layer}")], dim=1)
            bias = getattr(rnn, f"bias_ih_l{layer}") + getattr(rnn, f"bias_hh_l{layer}")
            for part in (both, bias, first[0, layer], first[1, layer]):
                weights += part.flatten().tolist()
        weights += head.weight.flatten().tolist() + head.bias.tolist()
        state = tuple(part.unsqueeze(1).expand(layers, B, hidden).contiguous() for part in first)
        y = head(rnn(x, state)[0])
    (HERE / "amp.nam").write_text(json.dumps({
        "version": "0.5.2", "architecture": "LSTM", "sample_rate": 48000,
        "config": {"input_size": 1, "hidden_size": hidden, "num_layers": layers}, "weights": weights}))
    save_golden("amp", x, y)


def main():
    torch.manual_seed(1)
    np.random.seed(1)
    HERE.mkdir(exist_ok=True)
    pytorch("lstm_stacked", torch.nn.LSTM(3, 5, num_layers=2))
    pytorch("lstm_bidirectional", torch.nn.LSTM(3, 4, num_layers=2, bidirectional=True), outputs=2)
    pytorch("lstm_projected", torch.nn.LSTM(3, 5, proj_size=2, num_layers=2, bidirectional=True))
    pytorch("gru_bidirectional", torch.nn.GRU(3, 4, num_layers=2, bidirectional=True), outputs=2)
    pytorch("gru_lengths", torch.nn.GRU(3, 4, bidirectional=True), lengths=torch.tensor([6, 2, 4]))
    pytorch("lstm_lengths", torch.nn.LSTM(3, 4, num_layers=2), lengths=torch.tensor([3, 6, 1]))
    pytorch("rnn_tanh", torch.nn.RNN(3, 5, num_layers=2, bias=False))
    pytorch("rnn_relu", torch.nn.RNN(3, 5, nonlinearity="relu"), outputs=1)
    all_onnx()
    rtneural("lstm")
    rtneural("gru")
    state_dict_as_json()
    nam()


if __name__ == "__main__":
    main()
