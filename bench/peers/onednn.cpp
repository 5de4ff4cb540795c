// bench/peers/onednn.cpp: oneDNN's LSTM, GRU (reset after the product) and vanilla RNN as an engine.
//
// One source for the interfaces of versions 2 and 3. Weights are in the layout that oneDNN asks for, as ours are
// packed: converting them is not measured. Backward adds to the weights' gradients, as oneDNN defines it; they are
// cleared before the run that is compared.

#include <functional>
#include <map>
#include <memory>
#include <oneapi/dnnl/dnnl.hpp>
#include <unordered_map>

#include "engine.h"
#ifdef _OPENMP
#include <omp.h>
#endif

namespace recurve::bench {
namespace {

using dnnl::memory;
using dnnl::prop_kind;
using Tag = memory::format_tag;

// `gates[g]` is where oneDNN's gate g lies in our rows.
struct CellKind {
  std::vector<int> gates;
  int biases;  // rows of the bias, in units
  bool has_memory = false;
};
const std::map<std::string, CellKind> kCells = {
    {"lstm", {{0, 1, 2, 3}, 4, true}}, {"gru", {{1, 0, 2}, 4}}, {"elman", {{0}, 1}}};

// A primitive's description with its arguments, with or without that of its forward pass.
template <typename Primitive, typename... Arguments>
typename Primitive::primitive_desc Describe(const dnnl::engine& engine, Arguments... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine, arguments...);
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(arguments...), engine);
#endif
}
template <typename Primitive, typename Hint, typename... Arguments>
typename Primitive::primitive_desc DescribeBackward(const dnnl::engine& engine, const Hint& hint,
                                                    Arguments... arguments) {
#if DNNL_VERSION_MAJOR >= 3
  return typename Primitive::primitive_desc(engine, arguments..., hint);
#else
  return typename Primitive::primitive_desc(typename Primitive::desc(arguments...), engine, hint);
#endif
}

// Runs `work` on the values of a memory, wherever it is.
void WithValues(memory& values, const std::function<void(float*)>& work) {
  float* data = values.map_data<float>();
  work(data);
  values.unmap_data(data);
}

class OneDnn : public Engine {
 public:
  OneDnn() : engine_(dnnl::engine::kind::cpu, 0), stream_(engine_) {}

  std::string About() override {
    const dnnl_version_t* version = dnnl_version();
    return "oneDNN " + std::to_string(version->major) + "." + std::to_string(version->minor) + "." +
           std::to_string(version->patch);
  }

  std::string Prepare(const Task& task) override {
    runs_.clear();
    auto found = kCells.find(task.cell);
    if (found == kCells.end()) return "no such cell here";
#ifdef _OPENMP
    omp_set_num_threads(task.threads);
#endif
    try {
      task_ = task;
      kind_ = found->second;
      DescribeData();
      if (task.cell == "lstm")
        MakeLstm();
      else if (task.cell == "gru")
        MakeGru();
      else
        MakeElman();
    } catch (const dnnl::error& error) {
      return std::string("no ") + error.what();
    }
    if (task.is_streaming()) {
      Run("step", 1);
      WriteForward("step");
      return "ok step";
    }
    for (const char* pass : {"inference", "forward", "backward"}) Run(pass, 1);
    WriteForward("forward");
    WriteBackward();
    return "ok forward backward inference";
  }

  std::string Run(const std::string& pass, int count) override {
    try {
      auto& [primitive, arguments] = runs_.at(pass == "step" ? "inference" : pass);
      for (int i = 0; i < count; ++i) {
        primitive.execute(stream_, arguments);
        stream_.wait();
      }
    } catch (const dnnl::error& error) {
      return error.what();
    }
    return "";
  }

 private:
  using Arguments = std::unordered_map<int, memory>;
  struct PassRun {
    dnnl::primitive primitive;
    Arguments arguments;
  };

  memory::desc Describe32(const memory::dims& dims, Tag tag) { return {dims, memory::data_type::f32, tag}; }

  void DescribeData() {
    const long t = task_.steps, b = task_.batch, i = task_.inputs, h = task_.units;
    const long g = static_cast<long>(kind_.gates.size());
    src_layer_ = Describe32({t, b, i}, Tag::tnc);
    dst_layer_ = Describe32({t, b, h}, Tag::tnc);
    iter_ = Describe32({1, 1, b, h}, Tag::ldnc);
    bias_ = Describe32({1, 1, kind_.biases, h}, Tag::ldgo);
    weights_layer_ = Describe32({1, 1, i, g, h}, Tag::any);
    weights_iter_ = Describe32({1, 1, h, g, h}, Tag::any);
    plain_layer_ = Describe32({1, 1, i, g, h}, Tag::ldigo);
    plain_iter_ = Describe32({1, 1, h, g, h}, Tag::ldigo);
  }

  memory Filled(const memory::desc& desc, const std::string& name) {
    memory result(desc, engine_);
    const std::vector<float> values = task_.Read(name);
    WithValues(result, [&](float* data) { std::copy(values.begin(), values.end(), data); });
    return result;
  }

  // [G*H, K] in our order of gates, to [K, G, H] in theirs, in the layout `wanted`.
  memory Weights(const std::string& name, const memory::desc& plain, const memory::desc& wanted, long columns) {
    const std::vector<float> values = task_.Read(name);
    const size_t h = static_cast<size_t>(task_.units), g = kind_.gates.size(), k = static_cast<size_t>(columns);
    memory ordered(plain, engine_), result(wanted, engine_);
    WithValues(ordered, [&](float* data) {
      for (size_t column = 0; column < k; ++column) {
        for (size_t gate = 0; gate < g; ++gate) {
          for (size_t unit = 0; unit < h; ++unit)
            data[(column * g + gate) * h + unit] =
                values[(static_cast<size_t>(kind_.gates[gate]) * h + unit) * k + column];
        }
      }
    });
    dnnl::reorder(ordered, result).execute(stream_, ordered, result);
    stream_.wait();
    return result;
  }

  // A GRU has two biases; oneDNN adds those of its first two gates up, and keeps both of the third.
  memory Bias() {
    const std::vector<float> b = task_.Read("b"), d = task_.Read("d");
    const size_t h = static_cast<size_t>(task_.units);
    memory result(bias_, engine_);
    WithValues(result, [&](float* data) {
      if (task_.cell != "gru") {
        std::copy(b.begin(), b.end(), data);
        return;
      }
      for (size_t unit = 0; unit < h; ++unit) {
        data[unit] = b[h + unit] + d[h + unit];
        data[h + unit] = b[unit] + d[unit];
        data[2 * h + unit] = b[2 * h + unit];
        data[3 * h + unit] = d[2 * h + unit];
      }
    });
    return result;
  }

  memory Zero(const memory::desc& desc) {
    memory result(desc, engine_);
    WithValues(result, [&](float* data) { std::fill_n(data, desc.get_size() / sizeof(float), 0.0f); });
    return result;
  }

  template <typename Description>
  Arguments ForwardArguments(const Description& pd) {
    Arguments arguments = {{DNNL_ARG_SRC_LAYER, Filled(src_layer_, "x")},
                           {DNNL_ARG_SRC_ITER, Filled(iter_, task_.is_streaming() ? "h" : "h0")},
                           {DNNL_ARG_WEIGHTS_LAYER, Weights("W", plain_layer_, pd.weights_layer_desc(), task_.inputs)},
                           {DNNL_ARG_WEIGHTS_ITER, Weights("U", plain_iter_, pd.weights_iter_desc(), task_.units)},
                           {DNNL_ARG_BIAS, Bias()},
                           {DNNL_ARG_DST_LAYER, Zero(dst_layer_)},
                           {DNNL_ARG_DST_ITER, Zero(iter_)}};
    if (kind_.has_memory) {
      arguments.emplace(DNNL_ARG_SRC_ITER_C, Filled(iter_, task_.is_streaming() ? "c" : "c0"));
      arguments.emplace(DNNL_ARG_DST_ITER_C, Zero(iter_));
    }
    return arguments;
  }

  // A backward pass reads what its forward pass wrote, with weights in a layout of its own.
  template <typename Description>
  Arguments BackwardArguments(const Description& pd, const Arguments& forward) {
    Arguments arguments = forward;
    arguments[DNNL_ARG_WEIGHTS_LAYER] = Weights("W", plain_layer_, pd.weights_layer_desc(), task_.inputs);
    arguments[DNNL_ARG_WEIGHTS_ITER] = Weights("U", plain_iter_, pd.weights_iter_desc(), task_.units);
    arguments[DNNL_ARG_DIFF_SRC_LAYER] = Zero(src_layer_);
    arguments[DNNL_ARG_DIFF_SRC_ITER] = Zero(iter_);
    arguments[DNNL_ARG_DIFF_WEIGHTS_LAYER] = Zero(pd.diff_weights_layer_desc());
    arguments[DNNL_ARG_DIFF_WEIGHTS_ITER] = Zero(pd.diff_weights_iter_desc());
    arguments[DNNL_ARG_DIFF_BIAS] = Zero(bias_);
    arguments[DNNL_ARG_DIFF_DST_LAYER] = Filled(dst_layer_, "y_adj");
    arguments[DNNL_ARG_DIFF_DST_ITER] = Zero(iter_);
    if (kind_.has_memory) {
      arguments[DNNL_ARG_DIFF_SRC_ITER_C] = Zero(iter_);
      arguments[DNNL_ARG_DIFF_DST_ITER_C] = Zero(iter_);
    }
    return arguments;
  }

  // `forward(kind)` and `backward(hint)` describe the primitives.
  template <typename Forward, typename Backward, typename DescribeForward, typename DescribeBack>
  void Make(DescribeForward forward, DescribeBack backward) {
    auto inference = forward(prop_kind::forward_inference);
    runs_["inference"] = {Forward(inference), ForwardArguments(inference)};
    if (task_.is_streaming()) return;
    auto training = forward(prop_kind::forward_training);
    Arguments arguments = ForwardArguments(training);
    arguments.emplace(DNNL_ARG_WORKSPACE, memory(training.workspace_desc(), engine_));
    auto adjoint = backward(training);
    runs_["backward"] = {Backward(adjoint), BackwardArguments(adjoint, arguments)};
    runs_["forward"] = {Forward(training), std::move(arguments)};
  }

  static constexpr auto kDirection = dnnl::rnn_direction::unidirectional_left2right;

  void MakeLstm() {
    using Forward = dnnl::lstm_forward;
    using Backward = dnnl::lstm_backward;
    Make<Forward, Backward>(
        [&](prop_kind kind) {
          return Describe<Forward>(engine_, kind, kDirection, src_layer_, iter_, iter_, weights_layer_, weights_iter_,
                                   bias_, dst_layer_, iter_, iter_);
        },
        [&](const Forward::primitive_desc& hint) {
          return DescribeBackward<Backward>(engine_, hint, prop_kind::backward, kDirection, src_layer_, iter_, iter_,
                                            weights_layer_, weights_iter_, bias_, dst_layer_, iter_, iter_, src_layer_,
                                            iter_, iter_, weights_layer_, weights_iter_, bias_, dst_layer_, iter_,
                                            iter_);
        });
  }
  void MakeGru() {
    using Forward = dnnl::lbr_gru_forward;
    using Backward = dnnl::lbr_gru_backward;
    Make<Forward, Backward>(
        [&](prop_kind kind) {
          return Describe<Forward>(engine_, kind, kDirection, src_layer_, iter_, weights_layer_, weights_iter_, bias_,
                                   dst_layer_, iter_);
        },
        [&](const Forward::primitive_desc& hint) {
          return DescribeBackward<Backward>(engine_, hint, prop_kind::backward, kDirection, src_layer_, iter_,
                                            weights_layer_, weights_iter_, bias_, dst_layer_, iter_, src_layer_, iter_,
                                            weights_layer_, weights_iter_, bias_, dst_layer_, iter_);
        });
  }
  void MakeElman() {
    using Forward = dnnl::vanilla_rnn_forward;
    using Backward = dnnl::vanilla_rnn_backward;
    constexpr auto kTanh = dnnl::algorithm::eltwise_tanh;
    Make<Forward, Backward>(
        [&](prop_kind kind) {
          return Describe<Forward>(engine_, kind, kTanh, kDirection, src_layer_, iter_, weights_layer_, weights_iter_,
                                   bias_, dst_layer_, iter_);
        },
        [&](const Forward::primitive_desc& hint) {
          return DescribeBackward<Backward>(engine_, hint, prop_kind::backward, kTanh, kDirection, src_layer_, iter_,
                                            weights_layer_, weights_iter_, bias_, dst_layer_, iter_, src_layer_, iter_,
                                            weights_layer_, weights_iter_, bias_, dst_layer_, iter_);
        });
  }

  void WriteValues(const std::string& name, memory values) {
    const size_t count = values.get_desc().get_size() / sizeof(float);
    WithValues(values, [&](float* data) { task_.Write(name, data, count); });
  }

  void WriteForward(const std::string& pass) {
    const Arguments& arguments = runs_.at(pass == "step" ? "inference" : pass).arguments;
    WriteValues("y", arguments.at(DNNL_ARG_DST_LAYER));
    WriteValues(pass == "step" ? "h" : "hT", arguments.at(DNNL_ARG_DST_ITER));
    if (kind_.has_memory) WriteValues(pass == "step" ? "c" : "cT", arguments.at(DNNL_ARG_DST_ITER_C));
  }

  // Their [K, G, H] to our [G*H, K].
  void WriteWeights(const std::string& name, memory values, const memory::desc& plain, long columns) {
    memory ordered(plain, engine_);
    dnnl::reorder(values, ordered).execute(stream_, values, ordered);
    stream_.wait();
    const size_t h = static_cast<size_t>(task_.units), g = kind_.gates.size(), k = static_cast<size_t>(columns);
    std::vector<float> ours(g * h * k);
    WithValues(ordered, [&](float* data) {
      for (size_t column = 0; column < k; ++column) {
        for (size_t gate = 0; gate < g; ++gate) {
          for (size_t unit = 0; unit < h; ++unit)
            ours[(static_cast<size_t>(kind_.gates[gate]) * h + unit) * k + column] =
                data[(column * g + gate) * h + unit];
        }
      }
    });
    task_.Write(name, ours.data(), ours.size());
  }

  void WriteBackward() {
    const Arguments& arguments = runs_.at("backward").arguments;
    WriteValues("x_adj", arguments.at(DNNL_ARG_DIFF_SRC_LAYER));
    WriteValues("h0_adj", arguments.at(DNNL_ARG_DIFF_SRC_ITER));
    if (kind_.has_memory) WriteValues("c0_adj", arguments.at(DNNL_ARG_DIFF_SRC_ITER_C));
    WriteWeights("W_adj", arguments.at(DNNL_ARG_DIFF_WEIGHTS_LAYER), plain_layer_, task_.inputs);
    WriteWeights("U_adj", arguments.at(DNNL_ARG_DIFF_WEIGHTS_ITER), plain_iter_, task_.units);
    if (task_.cell != "gru") WriteValues("b_adj", arguments.at(DNNL_ARG_DIFF_BIAS));
  }

  dnnl::engine engine_;
  dnnl::stream stream_;
  Task task_;
  CellKind kind_;
  memory::desc src_layer_, dst_layer_, iter_, bias_, weights_layer_, weights_iter_, plain_layer_, plain_iter_;
  std::map<std::string, PassRun> runs_;
};

}  // namespace
}  // namespace recurve::bench

int main() {
  try {
    recurve::bench::OneDnn engine;
    recurve::bench::Serve(engine);
  } catch (const dnnl::error& error) {
    std::cerr << "oneDNN: " << error.what() << "\n";
    return 2;
  }
}
