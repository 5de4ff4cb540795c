// compiler/import/onnx_wire.h: protocol buffers' wire format, read field by field.
//
// A message is a sequence of fields: a number with a type of wire, then a varint, 4 or 8 bytes, or a length and so many
// bytes. Nothing is copied, and no length is believed that goes beyond the message. Source: Protocol Buffers, Encoding.

#ifndef RECURVE_COMPILER_IMPORT_ONNX_WIRE_H_
#define RECURVE_COMPILER_IMPORT_ONNX_WIRE_H_

#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>

namespace recurve {

struct WireField {
  uint32_t number = 0;
  uint64_t value = 0;      // of a varint, or the bits of 4 or 8 bytes
  std::string_view bytes;  // of a field with a length
  bool has_bytes = false;
};

class WireReader {
 public:
  explicit WireReader(std::string_view message) : left_(message) {}

  bool at_end() const { return left_.empty(); }

  // Empty where the message is damaged.
  std::optional<WireField> Next() {
    const std::optional<uint64_t> key = Varint();
    if (!key || *key >> 3 == 0 || *key >> 3 > 0x1FFFFFFF) return std::nullopt;
    WireField field{.number = static_cast<uint32_t>(*key >> 3)};
    switch (*key & 7) {
      case 0: {
        const std::optional<uint64_t> value = Varint();
        if (!value) return std::nullopt;
        field.value = *value;
        return field;
      }
      case 1: return Fixed(field, 8);
      case 2: {
        const std::optional<uint64_t> length = Varint();
        if (!length || *length > left_.size()) return std::nullopt;
        field.bytes = left_.substr(0, *length);
        field.has_bytes = true;
        left_.remove_prefix(*length);
        return field;
      }
      case 5: return Fixed(field, 4);
      default: return std::nullopt;  // groups, which nobody writes any more
    }
  }

  std::optional<uint64_t> Varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64 && !left_.empty(); shift += 7) {
      const auto byte = static_cast<uint8_t>(left_.front());
      left_.remove_prefix(1);
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

 private:
  std::optional<WireField> Fixed(WireField field, size_t bytes) {
    if (left_.size() < bytes) return std::nullopt;
    std::memcpy(&field.value, left_.data(), bytes);
    left_.remove_prefix(bytes);
    return field;
  }

  std::string_view left_;
};

}  // namespace recurve

#endif  // RECURVE_COMPILER_IMPORT_ONNX_WIRE_H_
