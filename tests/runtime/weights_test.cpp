// Weight files: what is written reads back, and what is damaged is refused without harm.

#include "runtime/weights.h"

#include <sys/stat.h>

#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>

#include <gtest/gtest.h>

#include "hand_program.h"
#include "runtime/file.h"
#include "runtime/random.h"

namespace recurve {
namespace {

// A directory of its own that is removed with its contents.
class Scratch {
 public:
  Scratch() {
    std::string pattern = std::filesystem::temp_directory_path() / "recurve-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~Scratch() { std::filesystem::remove_all(path_); }
  std::string operator/(const char* name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::vector<std::byte> File(std::string_view header, size_t value_bytes) {
  std::vector<std::byte> bytes(8 + header.size() + value_bytes);
  const uint64_t length = header.size();
  std::memcpy(bytes.data(), &length, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

WeightFile Example() {
  return {{{"entry", "lstm"}, {"note", "\"quoted\"\nline"}},
          {{"W", {2, 3}, ElementType::kF32, {1, 0.5, -2, 1e-40, std::numeric_limits<float>::max(), -0.0}},
           {"empty", {0, 7}, ElementType::kF32, {}},
           {"scalar", {}, ElementType::kF64, {0.1}},
           {"cell.b", {2}, ElementType::kF64, {std::numeric_limits<double>::infinity(), 5e-324}}}};
}

void ExpectSame(const WeightFile& a, const WeightFile& b) {
  EXPECT_EQ(a.metadata, b.metadata);
  ASSERT_EQ(a.tensors.size(), b.tensors.size());
  for (const WeightTensor& tensor : a.tensors) {
    const WeightTensor* other = b.Find(tensor.name);
    ASSERT_NE(other, nullptr) << tensor.name;
    EXPECT_EQ(tensor.shape, other->shape);
    EXPECT_EQ(tensor.element, other->element);
    ASSERT_EQ(tensor.values.size(), other->values.size());
    for (size_t i = 0; i < tensor.values.size(); ++i) {
      const double expected =
          tensor.element == ElementType::kF32 ? static_cast<float>(tensor.values[i]) : tensor.values[i];
      EXPECT_EQ(std::memcmp(&expected, &other->values[i], 8), 0) << tensor.name << "[" << i << "]";
    }
  }
}

TEST(Weights, ReadBackWhatWasWritten) {
  const auto file = ParseWeights(FormatWeights(Example()), "memory");
  ASSERT_TRUE(file) << file.error().message;
  ExpectSame(Example(), *file);
}

TEST(Weights, ValuesBeginAtAMultipleOfEightBytes) {
  const auto bytes = FormatWeights(Example());
  uint64_t length = 0;
  std::memcpy(&length, bytes.data(), 8);
  EXPECT_EQ(length % 8, 0u);
}

TEST(Weights, RefusesWhatIsNotAWeightFile) {
  const std::string f32 = R"("dtype":"F32",)";
  const struct {
    std::vector<std::byte> bytes;
    const char* flaw;
  } rows[] = {
      {std::vector<std::byte>(5), "it has 5 bytes, a header needs 8"},
      {std::vector<std::byte>(20, std::byte{0x7f}), "its header should have 9187201950435737471 bytes, 12 follow"},
      {File("{", 0), "its header is not a JSON object"},
      {File("[1]", 0), "its header is not a JSON object"},
      {File(std::string(100000, '['), 0), "its header is not a JSON object"},
      {File("{\"\xff\":1}", 0), "its header is not a JSON object"},
      {File(R"({"__metadata__":3})", 0), "its `__metadata__` is not an object"},
      {File(R"({"__metadata__":{"a":3}})", 0), "its metadata `a` is not a text"},
      {File(R"({"W":3})", 0), "tensor `W`: its entry is not an object"},
      {File(R"({"W":{}})", 0), "tensor `W`: it has no `dtype`"},
      {File(R"({"W":{"dtype":"BF16"}})", 0), "tensor `W`: its type is `BF16`, not F32 or F64"},
      {File("{\"W\":{" + f32 + R"("shape":[-1]}})", 0), "tensor `W`: its `shape` is not a list of sizes"},
      {File("{\"W\":{" + f32 + R"("shape":[1.5]}})", 0), "tensor `W`: its `shape` is not a list of sizes"},
      {File("{\"W\":{" + f32 + R"("shape":[1]}})", 4), "tensor `W`: its `data_offsets` are not two numbers"},
      {File("{\"W\":{" + f32 + R"("shape":[9223372036854775807,9],"data_offsets":[0,4]}})", 4),
       "tensor `W`: its shape exceeds what memory holds"},
      {File("{\"W\":{" + f32 + R"("shape":[2],"data_offsets":[0,4]}})", 4),
       "tensor `W`: its shape needs 8 bytes, its place is [0, 4)"},
      {File("{\"W\":{" + f32 + R"("shape":[1],"data_offsets":[8,4]}})", 4),
       "tensor `W`: its shape needs 4 bytes, its place is [8, 4)"},
      {File("{\"W\":{" + f32 + R"("shape":[1],"data_offsets":[4,8]}})", 8),
       "tensor `W` begins at byte 4, the one before it ends at 0"},
      {File("{\"W\":{" + f32 + R"("shape":[1],"data_offsets":[0,4]},"U":{)" + f32 +
                R"("shape":[1],"data_offsets":[0,4]}})",
            4),
       "tensor `U` begins at byte 0, the one before it ends at 4"},
      {File("{\"W\":{" + f32 + R"("shape":[2],"data_offsets":[0,8]}})", 7), "its tensors need 8 bytes, it has 7"},
      {File("{\"W\":{" + f32 + R"("shape":[2],"data_offsets":[0,8]}})", 9), "its tensors need 8 bytes, it has 9"},
  };
  for (const auto& row : rows) {
    const auto file = ParseWeights(row.bytes, "f");
    ASSERT_FALSE(file) << row.flaw;
    const std::string message = file.error().message;
    EXPECT_TRUE(
        message == std::string("cannot read weights from `f`: ") + row.flaw ||
        (std::string_view(row.flaw).starts_with("tensor `U`") && message.find("begins at byte 0") != std::string::npos))
        << message << "\n"
        << row.flaw;
  }
}

// Mutations of a good file: it may still be read, but must then be consistent, and must never do harm.
TEST(Weights, SurvivesMutation) {
  const char* given = std::getenv("RECURVE_SEED");
  const uint64_t seed = given == nullptr ? 1 : std::strtoull(given, nullptr, 10);
  SCOPED_TRACE(testing::Message() << "RECURVE_SEED=" << seed);
  const auto original = FormatWeights(Example());
  Random random(seed);
  const auto below = [&](size_t limit) { return random.Below(static_cast<uint32_t>(limit)); };
  constexpr std::string_view kTokens[] = {"-1", "1e99",   "null", "[", "]", "{", "}", "\"", "18446744073709551615",
                                          ",",  "\\u0000"};
  int refused = 0;
  for (int round = 0; round < 20000; ++round) {
    auto bytes = original;
    for (uint32_t edits = 1 + below(4); edits-- > 0 && !bytes.empty();) {
      const size_t at = below(bytes.size());
      switch (below(5)) {
        case 0: bytes[at] = static_cast<std::byte>(below(256)); break;
        case 1: bytes[at] ^= static_cast<std::byte>(1u << below(8)); break;
        case 2: bytes.resize(at); break;
        case 3: bytes.erase(bytes.begin() + static_cast<ptrdiff_t>(at)); break;
        case 4: {
          const std::string_view token = kTokens[below(std::size(kTokens))];
          const auto* data = reinterpret_cast<const std::byte*>(token.data());
          bytes.insert(bytes.begin() + static_cast<ptrdiff_t>(at), data, data + token.size());
          break;
        }
      }
    }
    const auto file = ParseWeights(bytes, "mutated");
    if (!file) {
      ++refused;
      EXPECT_TRUE(file.error().message.starts_with("cannot read weights from `mutated`: "));
      continue;
    }
    for (const WeightTensor& tensor : file->tensors) {
      uint64_t count = 1;
      for (const uint64_t dim : tensor.shape) count *= dim;
      ASSERT_EQ(count, tensor.values.size()) << "round " << round;
    }
  }
  EXPECT_GT(refused, 10000) << "most mutations hit something that is checked";
}

TEST(Weights, RestoreConvertsBetweenPrecisions) {
  const auto parameters = [](ElementType type) {
    return std::make_unique<Parameters>(test::Wrapped(test::SeriesProgram(type)));
  };
  const auto f32 = parameters(ElementType::kF32), f64 = parameters(ElementType::kF64),
             again = parameters(ElementType::kF32);
  ASSERT_TRUE(f32->Initialize(3));
  ASSERT_TRUE(Restore(*f64, Collect(*f32, "a."), "a."));
  ASSERT_TRUE(Restore(*again, *ParseWeights(FormatWeights(Collect(*f64)), "memory")));
  ExpectSame(Collect(*f32), Collect(*again));
  EXPECT_EQ(Collect(*f64).tensors[0].element, ElementType::kF64);
}

TEST(Weights, RestoreSaysWhatDoesNotFitAndChangesNothing) {
  Parameters parameters(test::Wrapped(test::SeriesProgram(ElementType::kF32)));
  ASSERT_TRUE(parameters.Initialize(1));
  const WeightFile before = Collect(parameters);
  WeightFile file = before;
  for (WeightTensor& tensor : file.tensors) std::ranges::fill(tensor.values, 9);
  file.tensors.back().shape = {2};
  EXPECT_EQ(Restore(parameters, file).error().message, "the weights' `p` is [2], `series` needs [1]");
  file.tensors.pop_back();
  EXPECT_EQ(Restore(parameters, file).error().message, "the weights have no tensor `p`, which `series` needs");
  ExpectSame(before, Collect(parameters));
}

TEST(Weights, AreWrittenWholeAndLeaveNothingElse) {
  const Scratch scratch;
  const std::string path = scratch / "a.safetensors";
  for (int round = 0; round < 2; ++round) {
    ASSERT_TRUE(WriteWeights(path, Example()));
    const auto file = ReadWeights(path);
    ASSERT_TRUE(file) << file.error().message;
    ExpectSame(Example(), *file);
  }
  const std::filesystem::directory_iterator entries(scratch.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(Weights, SayWhyAFileCannotBeWrittenOrRead) {
  const Scratch scratch;
  EXPECT_EQ(WriteWeights(scratch / "no/a", {}).error().message,
            "cannot write `" + (scratch / "no/a") + "`: No such file or directory");
  EXPECT_EQ(ReadWeights(scratch / "b").error().message,
            "cannot read `" + (scratch / "b") + "`: No such file or directory");
  EXPECT_EQ(ReadWeights(scratch.path()).error().message, "cannot read `" + scratch.path() + "`: Is a directory");
  // A directory in the way: the rename fails, and the temporary file goes.
  ASSERT_EQ(mkdir((scratch / "c").c_str(), 0777), 0);
  ASSERT_EQ(mkdir((scratch / "c/d").c_str(), 0777), 0);
  EXPECT_FALSE(WriteWeights(scratch / "c", {}));
  const std::filesystem::directory_iterator entries(scratch.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

}  // namespace
}  // namespace recurve
