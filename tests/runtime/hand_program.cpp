#include "hand_program.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <type_traits>
#include <vector>

namespace recurve::test {
namespace {

constexpr recurve_dim kT = -1, kB = -2;
const char* const kAxes[] = {"T", "B"};

// Type: float or double. Token: inputs and targets are indices. I, H, O: extents.
template <typename Type, bool Token, int I, int H, int O>
struct Elman {
  using Input = std::conditional_t<Token, int32_t, Type>;
  static constexpr int kW = 0, kU = kW + H * I, kBias = kU + H * H, kP = kBias + H, kp = kP + O * H, kPacked = kp + O;

  struct Pack {
    const Type *W, *U, *b, *P, *p;
    Type* packed;
  };
  struct Sequence {
    size_t T, B;
    const Input *x, *target;
    const Type* h0;
    const Type* packed;
    Type *prediction, *hT, *loss, *tape, *workspace;
    const recurve_team* team;
  };
  struct Back {
    size_t T, B;
    const Input *x, *target;
    const Type *h0, *loss_adj, *packed, *tape;
    Type *W_adj, *U_adj, *b_adj, *P_adj, *p_adj, *workspace;
  };
  struct Step {
    size_t B;
    const Input* x;
    Type* h;
    const Type* packed;
    Type* prediction;
  };

  static void RunPack(const void* slots) {
    const auto& a = *static_cast<const Pack*>(slots);
    std::copy_n(a.W, H * I, a.packed + kW);
    std::copy_n(a.U, H * H, a.packed + kU);
    std::copy_n(a.b, H, a.packed + kBias);
    std::copy_n(a.P, O * H, a.packed + kP);
    std::copy_n(a.p, O, a.packed + kp);
  }

  static void Cell(const Type* w, const Input* x, const Type* h, Type* next) {
    for (int j = 0; j < H; ++j) {
      Type sum = w[kBias + j];
      if constexpr (Token) {
        sum += w[kW + j * I + *x];
      } else {
        for (int i = 0; i < I; ++i) sum += w[kW + j * I + i] * x[i];
      }
      for (int k = 0; k < H; ++k) sum += w[kU + j * H + k] * h[k];
      next[j] = std::tanh(sum);
    }
  }
  static void Readout(const Type* w, const Type* h, Type* y) {
    for (int o = 0; o < O; ++o) {
      y[o] = w[kp + o];
      for (int k = 0; k < H; ++k) y[o] += w[kP + o * H + k] * h[k];
    }
  }
  // The loss of one prediction, and its derivative in place of the prediction.
  static Type LossAndSlope(Type* y, const Input* target) {
    Type loss = 0;
    if constexpr (Token) {
      const Type largest = *std::max_element(y, y + O);
      Type sum = 0;
      for (int o = 0; o < O; ++o) sum += std::exp(y[o] - largest);
      loss = std::log(sum) + largest - y[*target];
      for (int o = 0; o < O; ++o) y[o] = std::exp(y[o] - largest) / sum - (o == *target ? 1 : 0);
    } else {
      for (int o = 0; o < O; ++o) {
        const Type difference = y[o] - target[o];
        loss += difference * difference / O;
        y[o] = 2 * difference / O;
      }
    }
    return loss;
  }
  static constexpr int kInputWidth = Token ? 1 : I, kTargetWidth = Token ? 1 : O;

  // tape: states [T + 1, B, H]; inference uses the workspace instead.
  static void RunSequence(const void* slots) {
    const auto& a = *static_cast<const Sequence*>(slots);
    if (a.team == nullptr) {
      RunRows(a, 0, 1);
    } else {
      const auto body = [](void* call, size_t index) {
        const auto& shared = *static_cast<const Sequence*>(call);
        RunRows(shared, index, shared.team->count);
      };
      a.team->parallel_for(a.team, body, const_cast<Sequence*>(&a));
    }
    Type loss = 0;
    const Type* states = a.tape != nullptr ? a.tape : a.workspace;
    for (size_t row = 0; row < a.T * a.B; ++row) {
      Type y[O];
      Readout(a.packed, states + (row + a.B) * H, y);
      if (a.prediction != nullptr) std::copy_n(y, O, a.prediction + row * O);
      if (a.target != nullptr) loss += LossAndSlope(y, a.target + row * kTargetWidth);
    }
    if (a.loss != nullptr) *a.loss = loss / static_cast<Type>(a.T * a.B);
  }
  // Rows `first`, `first + apart`, ... of the batch.
  static void RunRows(const Sequence& a, size_t first, size_t apart) {
    Type* states = a.tape != nullptr ? a.tape : a.workspace;
    for (size_t b = first; b < a.B; b += apart) {
      std::copy_n(a.h0 + b * H, H, states + b * H);
      for (size_t t = 0; t < a.T; ++t) {
        const size_t row = t * a.B + b;
        Cell(a.packed, a.x + row * kInputWidth, states + row * H, states + (row + a.B) * H);
      }
      if (a.hT != nullptr) std::copy_n(states + (a.T * a.B + b) * H, H, a.hT + b * H);
    }
  }
  struct InferenceSlots {
    size_t T, B;
    const Input* x;
    const Type *h0, *packed;
    Type *prediction, *hT, *workspace;
  };
  static void RunInference(const void* slots) {
    const auto& a = *static_cast<const InferenceSlots*>(slots);
    const Sequence all{a.T,          a.B,  a.x,     nullptr, a.h0,        a.packed,
                       a.prediction, a.hT, nullptr, nullptr, a.workspace, nullptr};
    RunSequence(&all);
  }

  static void RunBackward(const void* slots) {
    const auto& a = *static_cast<const Back*>(slots);
    const Type* w = a.packed;
    const Type scale = a.loss_adj == nullptr ? 0 : *a.loss_adj / static_cast<Type>(a.T * a.B);
    Type* const gradients[] = {a.W_adj, a.U_adj, a.b_adj, a.P_adj, a.p_adj};
    const int counts[] = {H * I, H * H, H, O * H, O};
    Type spare[kPacked];
    Type* g[5];
    for (int i = 0, at = 0; i < 5; at += counts[i++]) {
      g[i] = gradients[i] != nullptr ? gradients[i] : spare + at;
      std::fill_n(g[i], counts[i], Type{0});
    }
    std::vector<Type> carry(a.B * H, 0);
    for (size_t t = a.T; t-- > 0;) {
      for (size_t b = 0; b < a.B; ++b) {
        const size_t row = t * a.B + b;
        const Type *before = a.tape + row * H, *after = a.tape + (row + a.B) * H;
        Type y[O], h_adj[H], s_adj[H];
        Readout(w, after, y);
        LossAndSlope(y, a.target + row * kTargetWidth);
        std::copy_n(carry.data() + b * H, H, h_adj);
        for (int o = 0; o < O; ++o) {
          const Type y_adj = y[o] * scale;
          g[4][o] += y_adj;
          for (int k = 0; k < H; ++k) {
            g[3][o * H + k] += y_adj * after[k];
            h_adj[k] += y_adj * w[kP + o * H + k];
          }
        }
        std::fill_n(carry.data() + b * H, H, Type{0});
        for (int j = 0; j < H; ++j) {
          s_adj[j] = h_adj[j] * (1 - after[j] * after[j]);
          g[2][j] += s_adj[j];
          if constexpr (Token) {
            g[0][j * I + a.x[row]] += s_adj[j];
          } else {
            for (int i = 0; i < I; ++i) g[0][j * I + i] += s_adj[j] * a.x[row * I + i];
          }
          for (int k = 0; k < H; ++k) {
            g[1][j * H + k] += s_adj[j] * before[k];
            carry[b * H + k] += s_adj[j] * w[kU + j * H + k];
          }
        }
      }
    }
  }

  // Adam on W, U, b, P, p (Kingma & Ba 2015), the whole gradient clipped to a length.
  static constexpr size_t kCounts[5] = {H * I, H* H, H, O* H, O};
  struct Update {
    size_t T, B;
    const Type* gradients[5];
    Type* values[5];
    Type* kept[10];  // mean and square of each
    const Type *rate, *steps, *beta1, *beta2, *epsilon, *clip;
    Type* length;
  };
  static void RunUpdate(const void* slots) {
    const auto& a = *static_cast<const Update*>(slots);
    Type squares = 0;
    for (int k = 0; k < 5; ++k) {
      for (size_t i = 0; i < kCounts[k]; ++i) squares += a.gradients[k][i] * a.gradients[k][i];
    }
    *a.length = std::sqrt(squares);
    const Type scale = *a.clip > 0 && *a.length > *a.clip ? *a.clip / *a.length : 1;
    const Type first = 1 - std::pow(*a.beta1, *a.steps), second = 1 - std::pow(*a.beta2, *a.steps);
    for (int k = 0; k < 5; ++k) {
      for (size_t i = 0; i < kCounts[k]; ++i) {
        const Type g = scale * a.gradients[k][i];
        Type &mean = a.kept[2 * k][i], &square = a.kept[2 * k + 1][i];
        mean = *a.beta1 * mean + (1 - *a.beta1) * g;
        square = *a.beta2 * square + (1 - *a.beta2) * g * g;
        a.values[k][i] -= *a.rate * (mean / first) / (std::sqrt(square / second) + *a.epsilon);
      }
    }
  }

  static void RunStep(const void* slots) {
    const auto& a = *static_cast<const Step*>(slots);
    for (size_t b = 0; b < a.B; ++b) {
      Type next[H];
      Cell(a.packed, a.x + b * kInputWidth, a.h + b * H, next);
      std::copy_n(next, H, a.h + b * H);
      if (a.prediction != nullptr) Readout(a.packed, next, a.prediction + b * O);
    }
  }

  static size_t StateBytes(const size_t* extents) { return (extents[0] + 1) * extents[1] * H * sizeof(Type); }

  static const recurve_program& Table(const char* name) {
    static const recurve_dim sequence_in[] = {kT, kB, I}, sequence_out[] = {kT, kB, O}, step_in[] = {kB, I},
                             step_out[] = {kB, O}, state[] = {kB, H}, w[] = {H, I}, u[] = {H, H}, b[] = {H},
                             readout[] = {O, H}, p[] = {O};
    static const int rank = Token ? 2 : 3, classes = Token ? I : 0;
    const double bound = 1 / std::sqrt(double{H});
    const auto extent = [](const char* axis) { return recurve_slot{axis, RECURVE_SLOT_EXTENT}; };
    const auto memory = [](const char* what, int kind) { return recurve_slot{what, kind}; };
    const auto tensor = [](const char* what, int kind, int axes, const recurve_dim* dims) {
      return recurve_slot{what, kind, 0, axes, dims};
    };
    const auto parameter = [bound](const char* what, int axes, const recurve_dim* dims, bool random) {
      return recurve_slot{what, RECURVE_SLOT_PARAMETER, 0, axes, dims, 0, random ? 1 : 0, random ? -bound : 0, bound};
    };
    const char* const x = Token ? "tokens" : "x";
    const char* const y = Token ? "logits" : "prediction";
    static const recurve_slot pack[] = {parameter("encoder.W", 2, w, true),  parameter("encoder.U", 2, u, true),
                                        parameter("encoder.b", 1, b, false), parameter("P", 2, readout, true),
                                        parameter("p", 1, p, false),         memory("packed", RECURVE_SLOT_PACKED)};
    const recurve_slot in{x, RECURVE_SLOT_INPUT, Token, rank, sequence_in, classes};
    const recurve_slot target{"target", RECURVE_SLOT_INPUT, Token, rank, sequence_out, classes};
    const recurve_slot h0 = tensor("encoder.h0", RECURVE_SLOT_STATE, 2, state);
    const recurve_slot packed = memory("packed", RECURVE_SLOT_PACKED);
    const recurve_slot prediction = tensor(y, RECURVE_SLOT_OUTPUT, 3, sequence_out);
    const recurve_slot hT = tensor("encoder.hT", RECURVE_SLOT_OUTPUT, 2, state);
    const recurve_slot loss = tensor("loss", RECURVE_SLOT_OUTPUT, 0, nullptr);
    const recurve_slot workspace = memory("workspace", RECURVE_SLOT_WORKSPACE);
    static const recurve_slot forward[] = {extent("T"), extent("B"),
                                           in,          target,
                                           h0,          packed,
                                           prediction,  hT,
                                           loss,        memory("tape", RECURVE_SLOT_TAPE),
                                           workspace,   memory("team", RECURVE_SLOT_TEAM)};
    static const recurve_slot inference[] = {extent("T"), extent("B"), in, h0, packed, prediction, hT, workspace};
    static const recurve_slot backward[] = {extent("T"),
                                            extent("B"),
                                            in,
                                            target,
                                            h0,
                                            tensor("loss_adj", RECURVE_SLOT_ADJOINT, 0, nullptr),
                                            packed,
                                            memory("tape", RECURVE_SLOT_TAPE),
                                            tensor("encoder.W_adj", RECURVE_SLOT_OUTPUT, 2, w),
                                            tensor("encoder.U_adj", RECURVE_SLOT_OUTPUT, 2, u),
                                            tensor("encoder.b_adj", RECURVE_SLOT_OUTPUT, 1, b),
                                            tensor("P_adj", RECURVE_SLOT_OUTPUT, 2, readout),
                                            tensor("p_adj", RECURVE_SLOT_OUTPUT, 1, p),
                                            workspace};
    static const recurve_slot step[] = {extent("B"),
                                        {x, RECURVE_SLOT_INPUT, Token, rank - 1, step_in, classes},
                                        tensor("encoder.h", RECURVE_SLOT_STATE, 2, state),
                                        packed,
                                        tensor(y, RECURVE_SLOT_OUTPUT, 2, step_out)};
    static const recurve_dim counts[5] = {kCounts[0], kCounts[1], kCounts[2], kCounts[3], kCounts[4]};
    static const auto update = [&] {
      static const char* const gradients[5] = {"encoder.W_adj", "encoder.U_adj", "encoder.b_adj", "P_adj", "p_adj"};
      static const char* const values[5] = {"encoder.W", "encoder.U", "encoder.b", "P", "p"};
      static const char* const kept[10] = {"encoder.W.mean", "encoder.W.square", "encoder.U.mean", "encoder.U.square",
                                           "encoder.b.mean", "encoder.b.square", "P.mean",         "P.square",
                                           "p.mean",         "p.square"};
      std::vector<recurve_slot> all{extent("T"), extent("B")};
      for (int k = 0; k < 5; ++k) all.push_back(tensor(gradients[k], RECURVE_SLOT_INPUT, 1, counts + k));
      for (int k = 0; k < 5; ++k) all.push_back(tensor(values[k], RECURVE_SLOT_STATE, 1, counts + k));
      for (int k = 0; k < 10; ++k) all.push_back(tensor(kept[k], RECURVE_SLOT_STATE, 1, counts + k / 2));
      for (const char* setting : {"rate", "steps", "beta1", "beta2", "epsilon", "clip"})
        all.push_back(tensor(setting, RECURVE_SLOT_INPUT, 0, nullptr));
      all.push_back(tensor("length", RECURVE_SLOT_OUTPUT, 0, nullptr));
      return all;
    }();
    static const recurve_entry entries[] = {
        {"forward", &RunSequence, nullptr, std::size(forward), forward},
        {"inference", &RunInference, &StateBytes, std::size(inference), inference},
        {"backward", &RunBackward, nullptr, std::size(backward), backward},
        {"step", &RunStep, nullptr, std::size(step), step},
        {"update", &RunUpdate, nullptr, static_cast<int32_t>(update.size()), update.data()},
        {"pack", &RunPack, nullptr, std::size(pack), pack}};
    static const recurve_program program{
        RECURVE_ABI_VERSION,    name,        "by hand",          sizeof(Type), 2, kAxes,
        kPacked * sizeof(Type), &StateBytes, std::size(entries), entries};
    return program;
  }
};

}  // namespace

const recurve_program& SeriesProgram(ElementType element) {
  return element == ElementType::kF64 ? Elman<double, false, 1, 8, 1>::Table("series")
                                      : Elman<float, false, 1, 8, 1>::Table("series");
}

const recurve_program& CharacterProgram(ElementType element) {
  return element == ElementType::kF64 ? Elman<double, true, 5, 12, 5>::Table("characters")
                                      : Elman<float, true, 5, 12, 5>::Table("characters");
}

Program Wrapped(const recurve_program& program) { return *Program::Wrap(&program); }

}  // namespace recurve::test
