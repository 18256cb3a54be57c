// Reads what is constant about a node when its kernel is made. Everything is checked: attributes and tensors come from files.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ort/ops/operator.h"
#include "ort/ort_api.h"

namespace tritforge::ort {

// A tensor as ONNX Runtime holds it.
struct TensorView {
  ElementType type;
  std::vector<std::int64_t> shape;
  std::size_t count;  // of elements
  const void* data;
};

TensorView view_tensor(const Api& api, const Value* value);

// Product of sizes that are not negative. Throws a Failure on overflow.
std::size_t checked_product(const std::vector<std::int64_t>& sizes);

// Such as "[1, 3, 224, 224]".
std::string printed(const std::vector<std::int64_t>& shape);

class NodeReader {
 public:
  NodeReader(const Operator& op, const KernelInfo* info);

  // Throws a Failure that begins with operator and node.
  [[noreturn]] void fail(const std::string& what) const;

  std::int64_t integer(const char* attribute, std::int64_t minimum, std::int64_t maximum) const;
  // `missing` where the node has no such attribute.
  std::int64_t integer_or(const char* attribute, std::int64_t missing, std::int64_t minimum, std::int64_t maximum) const;
  std::vector<std::int64_t> integers(const char* attribute, std::size_t count, std::int64_t minimum,
                                     std::int64_t maximum) const;

  // A constant input of the type that the operator declares.
  TensorView constant(std::size_t input, const char* name) const;
  TensorView constant(std::size_t input, const char* name, const std::vector<std::int64_t>& shape) const;
  // One positive, finite number.
  float scale(std::size_t input, const char* name) const;
  std::uint8_t zero_point(std::size_t input, const char* name) const;

  float number(const char* attribute) const;

  // How many the node has.
  std::size_t inputs() const { return inputs_; }
  std::size_t outputs() const;

  // The shape of an input as far as the model tells; sizes that are not fixed are negative. Empty where it tells nothing.
  std::vector<std::int64_t> declared_shape(std::size_t input) const;

 private:
  std::int64_t in_range(const std::string& name, std::int64_t value, std::int64_t minimum, std::int64_t maximum) const;
  const void* scalar(std::size_t input, const char* name) const;

  const Operator& op_;
  const Api& api_;
  const KernelInfo* info_;
  std::string where_;
  std::size_t inputs_ = 0;
};

}  // namespace tritforge::ort
