# bench/peers/onnx_peer.py: ONNX Runtime as an engine: its LSTM, GRU and RNN operators, inference only.
#
#   python onnx_peer.py THREADS

import sys

import numpy
import onnx
import onnxruntime

import peer

THREADS = int(sys.argv[1])
# Cell: operator, and where its gates lie in our rows.
CELLS = {"lstm": ("LSTM", [0, 3, 1, 2]), "gru": ("GRU", [1, 0, 2]), "elman": ("RNN", [0])}


class OnnxRuntime(peer.Peer):
    def about(self):
        return "ONNX Runtime %s" % onnxruntime.__version__

    def prepare(self, task):
        if task.cell not in CELLS:
            raise peer.Unavailable("no operator for this cell")
        operator, order = CELLS[task.cell]
        units = task.units

        def reorder(values):
            return numpy.concatenate([values[gate * units:(gate + 1) * units] for gate in order])

        p = task.read_parameters()
        second_bias = p.get("d", numpy.zeros_like(p["b"]))
        constants = {
            "W": reorder(p["W"])[None],
            "R": reorder(p["U"])[None],
            "B": numpy.concatenate([reorder(p["b"]), reorder(second_bias)])[None],
        }
        is_stream = task.steps == task.batch == task.inputs == 1
        state_names = ["h", "c"] if task.cell == "lstm" else ["h"]
        node = onnx.helper.make_node(
            operator,
            ["x", "W", "R", "B", ""] + state_names,
            ["y"] + [name + "T" for name in state_names],
            hidden_size=units,
            **({"linear_before_reset": 1} if operator == "GRU" else {}),
        )
        real = onnx.TensorProto.FLOAT
        state_shape = [1, task.batch, units]
        graph = onnx.helper.make_graph(
            [node],
            task.cell,
            [onnx.helper.make_tensor_value_info("x", real, [task.steps, task.batch, task.inputs])]
            + [onnx.helper.make_tensor_value_info(name, real, state_shape) for name in state_names],
            [onnx.helper.make_tensor_value_info("y", real, [task.steps, 1, task.batch, units])]
            + [onnx.helper.make_tensor_value_info(name + "T", real, state_shape) for name in state_names],
            [onnx.numpy_helper.from_array(values, name) for name, values in constants.items()],
        )
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = THREADS
        options.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        inputs = {"x": task.read("x", task.steps, task.batch, task.inputs)}
        for name in state_names:
            inputs[name] = task.read(name if is_stream else name + "0", *state_shape)

        def run():
            return session.run(None, inputs)

        for name, values in zip(["y"] + [name if is_stream else name + "T" for name in state_names], run()):
            task.write(name, values)
        return {"step" if is_stream else "inference": run}


peer.serve(OnnxRuntime(), THREADS)
