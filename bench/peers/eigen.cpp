// bench/peers/eigen.cpp: LSTM and GRU by a competent engineer: Eigen, sizes known at compile time, one thread.
//
// Sequences: the input projection of all steps is one product, weight gradients are one product each, the elementwise
// part of a step is a few array expressions over activations that are saved for backward. Up to 128 units and inputs
// are compile-time constants, and so is a batch of 1; larger ones are not, since Eigen blocks products for the caches
// only where a size is open.
//
// Streams: weights in panels of rows that fit into registers, units padded to whole vectors, everything on the stack.

#include <Eigen/Dense>
#include <compare>
#include <map>
#include <memory>

#include "engine.h"

namespace recurve::bench {
namespace {

using Eigen::Dynamic;
using Eigen::Map;

// What an instance of one cell at one size offers.
class Instance {
 public:
  virtual ~Instance() = default;
  virtual void Forward(bool keep) = 0;
  virtual void Backward() = 0;
  virtual void Step() = 0;
  virtual void Write(const Task& task) = 0;
};

// Columns are examples, so that our row-major [T, B, H] is a column-major [H, T*B].
template <int kRows, int kColumns>
using Matrix = Eigen::Matrix<float, kRows, kColumns>;
template <int kRows>
using Columns = Eigen::Matrix<float, kRows, Dynamic>;

template <int kRows>
Columns<kRows> ReadColumns(const Task& task, const std::string& name, long rows) {
  const std::vector<float> values = task.Read(name);
  return Map<const Columns<kRows>>(values.data(), rows, static_cast<Eigen::Index>(values.size()) / rows);
}
// A row-major weight matrix.
template <typename Weights>
Weights ReadWeights(const Task& task, const std::string& name, long rows, long columns) {
  const std::vector<float> values = task.Read(name);
  return Map<const Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor>>(values.data(), rows, columns);
}
template <typename Values>
void WriteRows(const Task& task, const std::string& name, const Values& values) {
  const Eigen::Matrix<float, Dynamic, Dynamic, Eigen::RowMajor> rows = values;
  task.Write(name, rows.data(), static_cast<size_t>(rows.size()));
}
template <typename Values>
void WriteColumns(const Task& task, const std::string& name, const Values& values) {
  task.Write(name, values.data(), static_cast<size_t>(values.size()));
}

// What sequences of both cells share: kGates rows of W and U, in units. I and H may be open, B is 1 or open.
template <int kGates, int I, int H, int B>
class Sequence : public Instance {
 protected:
  static constexpr int kRows = H == Dynamic ? Dynamic : kGates * H;
  // The columns of one step.
  template <typename Values>
  auto At(Values& values, long t) const {
    if constexpr (B == 1) {
      return values.col(t);
    } else {
      return values.middleCols(t * batch_, batch_);
    }
  }
  template <typename Values>
  auto Gate(Values&& values, int gate) const {
    if constexpr (H == Dynamic) {
      return values.middleRows(gate * units_, units_).array();
    } else {
      return values.template middleRows<H>(gate * H).array();
    }
  }

  explicit Sequence(const Task& task)
      : steps_(task.steps),
        batch_(task.batch),
        units_(task.units),
        w_(ReadWeights<Matrix<kRows, I>>(task, "W", kGates * units_, task.inputs)),
        u_(ReadWeights<Matrix<kRows, H>>(task, "U", kGates * units_, units_)),
        b_(ReadColumns<kRows>(task, "b", kGates * units_).col(0)),
        x_(ReadColumns<I>(task, "x", task.inputs)),
        h0_(ReadColumns<H>(task, "h0", units_)),
        y_adj_(ReadColumns<H>(task, "y_adj", units_)),
        w_adj_(w_),
        u_adj_(u_),
        z_(kGates * units_, steps_ * batch_),
        z_adj_(kGates * units_, steps_ * batch_),
        y_(units_, steps_ * batch_),
        h_before_(units_, steps_ * batch_),
        x_adj_(task.inputs, steps_ * batch_),
        h_adj_(units_, batch_) {}

  void ProjectInput() {
    z_.noalias() = w_ * x_;
    z_.colwise() += b_;
  }
  // Gradients of what the input projection and the recurrent product read, `from_h` being the gradient of the latter.
  void WeightGradients(const Columns<kRows>& from_h) {
    h_before_.leftCols(batch_) = h0_;
    h_before_.rightCols((steps_ - 1) * batch_) = y_.leftCols((steps_ - 1) * batch_);
    w_adj_.noalias() = z_adj_ * x_.transpose();
    u_adj_.noalias() = from_h * h_before_.transpose();
    b_adj_ = z_adj_.rowwise().sum();
    x_adj_.noalias() = w_.transpose() * z_adj_;
  }
  void Step() override {}
  void Write(const Task& task) override {
    WriteColumns(task, "y", y_);
    WriteColumns(task, "x_adj", x_adj_);
    WriteColumns(task, "h0_adj", h_adj_);
    WriteColumns(task, "b_adj", b_adj_);
    WriteRows(task, "W_adj", w_adj_);
    WriteRows(task, "U_adj", u_adj_);
  }

  long steps_, batch_, units_;
  Matrix<kRows, I> w_;
  Matrix<kRows, H> u_;
  Matrix<kRows, 1> b_;
  Columns<I> x_;
  Columns<H> h0_, y_adj_;
  Matrix<kRows, I> w_adj_;
  Matrix<kRows, H> u_adj_;
  Columns<kRows> z_, z_adj_;  // sums before, gates after their activation; gradients of the sums
  Columns<H> y_, h_before_;
  Columns<I> x_adj_;
  Columns<H> h_adj_;
  Matrix<kRows, 1> b_adj_;
};

template <int I, int H, int B>
class LstmSequence : public Sequence<4, I, H, B> {
  using Base = Sequence<4, I, H, B>;
  using Base::At, Base::batch_, Base::h0_, Base::h_adj_, Base::steps_, Base::u_, Base::units_, Base::y_, Base::y_adj_,
      Base::z_, Base::z_adj_;

 public:
  explicit LstmSequence(const Task& task)
      : Base(task),
        c0_(ReadColumns<H>(task, "c0", units_)),
        c_(units_, steps_ * batch_),
        tanh_c_(units_, steps_ * batch_),
        c_adj_(units_, batch_) {}

  // Every step keeps its activations: without a backward pass that costs memory traffic, but no arithmetic.
  void Forward(bool) override {
    this->ProjectInput();
    for (long t = 0; t < steps_; ++t) {
      auto z = At(z_, t);
      if (t == 0) {
        z.noalias() += u_ * At(h0_, 0);
      } else {
        z.noalias() += u_ * At(y_, t - 1);
      }
      auto i = this->Gate(z, 0), f = this->Gate(z, 1), g = this->Gate(z, 2), o = this->Gate(z, 3);
      i = i.logistic();
      f = f.logistic();
      g = g.tanh();
      o = o.logistic();
      auto c = At(c_, t).array();
      if (t == 0) {
        c = f * At(c0_, 0).array() + i * g;
      } else {
        c = f * At(c_, t - 1).array() + i * g;
      }
      auto tanh_c = At(tanh_c_, t).array();
      tanh_c = c.tanh();
      At(y_, t).array() = o * tanh_c;
    }
  }

  void Backward() override {
    h_adj_.setZero();
    c_adj_.setZero();
    for (long t = steps_ - 1; t >= 0; --t) {
      auto z = At(z_, t);
      auto z_adj = At(z_adj_, t);
      auto i = this->Gate(z, 0), f = this->Gate(z, 1), g = this->Gate(z, 2), o = this->Gate(z, 3);
      auto tanh_c = At(tanh_c_, t).array();
      h_adj_ += At(y_adj_, t);
      c_adj_.array() += h_adj_.array() * o * (1 - tanh_c * tanh_c);
      this->Gate(z_adj, 0) = c_adj_.array() * g * i * (1 - i);
      if (t == 0) {
        this->Gate(z_adj, 1) = c_adj_.array() * At(c0_, 0).array() * f * (1 - f);
      } else {
        this->Gate(z_adj, 1) = c_adj_.array() * At(c_, t - 1).array() * f * (1 - f);
      }
      this->Gate(z_adj, 2) = c_adj_.array() * i * (1 - g * g);
      this->Gate(z_adj, 3) = h_adj_.array() * tanh_c * o * (1 - o);
      c_adj_.array() *= f;
      At(h_adj_, 0).noalias() = u_.transpose() * z_adj;
    }
    this->WeightGradients(z_adj_);
  }

  void Write(const Task& task) override {
    Base::Write(task);
    WriteColumns(task, "c0_adj", c_adj_);
  }

 private:
  Columns<H> c0_, c_, tanh_c_, c_adj_;
};

template <int I, int H, int B>
class GruSequence : public Sequence<3, I, H, B> {
  using Base = Sequence<3, I, H, B>;
  using Base::At, Base::batch_, Base::h0_, Base::h_adj_, Base::kRows, Base::steps_, Base::u_, Base::units_, Base::y_,
      Base::y_adj_, Base::z_, Base::z_adj_;

 public:
  explicit GruSequence(const Task& task)
      : Base(task),
        d_(ReadColumns<kRows>(task, "d", 3 * units_).col(0)),
        sums_(3 * units_, batch_),
        new_(units_, steps_ * batch_),
        from_h_(3 * units_, steps_ * batch_),
        next_(units_, batch_) {}

  void Forward(bool) override {
    this->ProjectInput();
    for (long t = 0; t < steps_; ++t) {
      auto z = At(z_, t);
      auto sums = At(sums_, 0);
      if (t == 0) {
        sums.noalias() = u_ * At(h0_, 0);
      } else {
        sums.noalias() = u_ * At(y_, t - 1);
      }
      sums.colwise() += d_;
      auto r = this->Gate(z, 0), u = this->Gate(z, 1), n = this->Gate(z, 2);
      r = (r + this->Gate(sums, 0)).logistic();
      u = (u + this->Gate(sums, 1)).logistic();
      auto hidden = At(new_, t).array();
      hidden = this->Gate(sums, 2);
      n = (n + r * hidden).tanh();
      if (t == 0) {
        At(y_, t).array() = n + u * (At(h0_, 0).array() - n);
      } else {
        At(y_, t).array() = n + u * (At(y_, t - 1).array() - n);
      }
    }
  }

  void Backward() override {
    h_adj_.setZero();
    for (long t = steps_ - 1; t >= 0; --t) {
      auto z = At(z_, t);
      auto z_adj = At(z_adj_, t), from_h = At(from_h_, t);
      auto r = this->Gate(z, 0), u = this->Gate(z, 1), n = this->Gate(z, 2);
      h_adj_ += At(y_adj_, t);
      auto n_adj = this->Gate(z_adj, 2);
      n_adj = h_adj_.array() * (1 - u) * (1 - n * n);
      this->Gate(z_adj, 0) = n_adj * At(new_, t).array() * r * (1 - r);
      if (t == 0) {
        this->Gate(z_adj, 1) = h_adj_.array() * (At(h0_, 0).array() - n) * u * (1 - u);
      } else {
        this->Gate(z_adj, 1) = h_adj_.array() * (At(y_, t - 1).array() - n) * u * (1 - u);
      }
      from_h.topRows(2 * units_) = z_adj.topRows(2 * units_);
      this->Gate(from_h, 2) = n_adj * r;
      next_.array() = h_adj_.array() * u;
      At(next_, 0).noalias() += u_.transpose() * from_h;
      h_adj_.swap(next_);
    }
    this->WeightGradients(from_h_);
    d_adj_ = from_h_.rowwise().sum();
  }

  void Write(const Task& task) override {
    Base::Write(task);
    WriteColumns(task, "d_adj", d_adj_);
  }

 private:
  Matrix<kRows, 1> d_;
  Columns<kRows> sums_;
  Columns<H> new_;  // the recurrent part of the new state's sum
  Columns<kRows> from_h_;
  Columns<H> next_;
  Matrix<kRows, 1> d_adj_;
};

constexpr int Padded(int units) { return (units + 15) / 16 * 16; }
// Rows of a panel: as many as registers hold, dividing all rows.
constexpr int PanelRows(int rows) {
  for (int panel = 128;; panel -= 16) {
    if (rows % panel == 0) return panel;
  }
}

// kGates gates of padded units, one input.
template <int kGates, int H>
class Stream : public Instance {
 protected:
  static constexpr int kUnits = Padded(H), kRows = kGates * kUnits, kPanel = PanelRows(kRows);
  using Rows = Eigen::Array<float, kRows, 1>;
  using Panel = Eigen::Array<float, kPanel, 1>;
  using Units = Eigen::Array<float, kUnits, 1>;

  explicit Stream(const Task& task)
      : w_(PadRows(task.Read("W"))), b_(PadRows(task.Read("b"))), x_(task.Read("x")[0]), h_(PadUnits(task.Read("h"))) {
    const std::vector<float> u = task.Read("U");
    for (int column = 0; column < H; ++column) {
      std::vector<float> rows(static_cast<size_t>(kGates) * H);
      for (size_t row = 0; row < rows.size(); ++row) rows[row] = u[row * H + static_cast<size_t>(column)];
      const Rows padded = PadRows(rows);
      for (int panel = 0; panel < kRows / kPanel; ++panel)
        panels_[panel][column] = padded.template segment<kPanel>(panel * kPanel);
    }
  }

  static Rows PadRows(const std::vector<float>& rows) {
    Rows padded = Rows::Zero();
    for (int gate = 0; gate < kGates; ++gate)
      padded.template segment<H>(gate * kUnits) = Map<const Eigen::Array<float, H, 1>>(rows.data() + gate * H);
    return padded;
  }
  static Units PadUnits(const std::vector<float>& units) {
    Units padded = Units::Zero();
    padded.template head<H>() = Map<const Eigen::Array<float, H, 1>>(units.data());
    return padded;
  }

  // start + U h
  Rows Product(const Rows& start) const {
    Rows result;
    for (int panel = 0; panel < kRows / kPanel; ++panel) {
      Panel sum = start.template segment<kPanel>(panel * kPanel);
      for (int column = 0; column < H; ++column) sum += panels_[panel][column] * h_[column];
      result.template segment<kPanel>(panel * kPanel) = sum;
    }
    return result;
  }
  template <typename Values>
  static auto Gate(const Values& values, int gate) {
    return values.template segment<kUnits>(gate * kUnits);
  }
  void Forward(bool) override {}
  void Backward() override {}
  void Write(const Task& task) override {
    task.Write("y", h_.data(), H);
    task.Write("h", h_.data(), H);
  }

  Panel panels_[kRows / kPanel][H];
  Rows w_, b_;
  float x_;
  Units h_;
};

template <int H>
class LstmStream : public Stream<4, H> {
  using Base = Stream<4, H>;

 public:
  explicit LstmStream(const Task& task) : Base(task), c_(Base::PadUnits(task.Read("c"))) {}
  void Step() override {
    const typename Base::Rows z = Base::Product(this->b_ + this->w_ * this->x_);
    c_ = Base::Gate(z, 1).logistic() * c_ + Base::Gate(z, 0).logistic() * Base::Gate(z, 2).tanh();
    this->h_ = Base::Gate(z, 3).logistic() * c_.tanh();
  }
  void Write(const Task& task) override {
    Base::Write(task);
    task.Write("c", c_.data(), H);
  }

 private:
  typename Base::Units c_;
};

template <int H>
class GruStream : public Stream<3, H> {
  using Base = Stream<3, H>;

 public:
  explicit GruStream(const Task& task) : Base(task), d_(Base::PadRows(task.Read("d"))) {}
  void Step() override {
    const typename Base::Rows from_x = this->b_ + this->w_ * this->x_, from_h = Base::Product(d_);
    const typename Base::Units r = (Base::Gate(from_x, 0) + Base::Gate(from_h, 0)).logistic();
    const typename Base::Units u = (Base::Gate(from_x, 1) + Base::Gate(from_h, 1)).logistic();
    const typename Base::Units n = (Base::Gate(from_x, 2) + r * Base::Gate(from_h, 2)).tanh();
    this->h_ = n + u * (this->h_ - n);
  }

 private:
  typename Base::Rows d_;
};

using Make = std::unique_ptr<Instance> (*)(const Task& task);
template <typename Type>
std::unique_ptr<Instance> MakeInstance(const Task& task) {
  return std::make_unique<Type>(task);
}

struct Kind {
  std::string cell;
  bool is_single, is_streaming;
  long inputs, units;
  auto operator<=>(const Kind&) const = default;
};

template <int I, int H, int B>
void AddSequence(std::map<Kind, Make>& all) {
  all[{"lstm", B == 1, false, I, H}] = MakeInstance<LstmSequence<I, H, B>>;
  all[{"gru", B == 1, false, I, H}] = MakeInstance<GruSequence<I, H, B>>;
}
template <int H>
void AddStream(std::map<Kind, Make>& all) {
  all[{"lstm", true, true, 1, H}] = MakeInstance<LstmStream<H>>;
  all[{"gru", true, true, 1, H}] = MakeInstance<GruStream<H>>;
}

std::map<Kind, Make> All() {
  std::map<Kind, Make> all;
  AddSequence<128, 128, Dynamic>(all);
  AddSequence<64, 64, 1>(all);
  AddSequence<Dynamic, Dynamic, Dynamic>(all);
  AddSequence<Dynamic, Dynamic, 1>(all);
  AddStream<16>(all);
  AddStream<20>(all);
  AddStream<32>(all);
  AddStream<64>(all);
  AddStream<128>(all);
  return all;
}

class EigenEngine : public Engine {
 public:
  std::string About() override {
    return "Eigen " + std::to_string(EIGEN_WORLD_VERSION) + "." + std::to_string(EIGEN_MAJOR_VERSION) + "." +
           std::to_string(EIGEN_MINOR_VERSION) +
#ifdef __clang__
           ", clang++ " + std::to_string(__clang_major__);
#else
           ", g++ " + std::to_string(__GNUC__);
#endif
  }

  std::string Prepare(const Task& task) override {
    instance_.reset();
    if (task.threads != 1) return "no threads here";
    const bool is_single = task.batch == 1;
    auto found = all_.find({task.cell, is_single, task.is_streaming(), task.inputs, task.units});
    if (found == all_.end() && !task.is_streaming()) found = all_.find({task.cell, is_single, false, Dynamic, Dynamic});
    if (found == all_.end()) return "no such cell and size";
    instance_ = found->second(task);
    if (task.is_streaming()) {
      instance_->Step();
    } else {
      instance_->Forward(true);
      instance_->Backward();
    }
    instance_->Write(task);
    return task.is_streaming() ? "ok step" : "ok forward backward inference";
  }

  std::string Run(const std::string& pass, int count) override {
    if (pass == "step") {
      for (int i = 0; i < count; ++i) instance_->Step();
    } else if (pass == "backward") {
      for (int i = 0; i < count; ++i) instance_->Backward();
    } else {
      for (int i = 0; i < count; ++i) instance_->Forward(pass == "forward");
    }
    return "";
  }

 private:
  std::map<Kind, Make> all_ = All();
  std::unique_ptr<Instance> instance_;
};

}  // namespace
}  // namespace recurve::bench

int main() {
  recurve::bench::EigenEngine engine;
  recurve::bench::Serve(engine);
}
