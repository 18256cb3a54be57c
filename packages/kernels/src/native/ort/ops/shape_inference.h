// Shapes of outputs before a model runs, so that graph optimizations and declared shapes see through our operators.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "ort/ops/operator.h"
#include "ort/ort_api.h"

namespace tritforge::ort {

// A size that is known, or a symbol, or neither.
struct InferredSize {
  std::int64_t value = -1;
  std::string symbol;

  bool is_known() const { return value >= 0; }
};

class ShapeInference {
 public:
  ShapeInference(const Operator& op, ShapeInferContext* context) : op_(op), api_(op.api), context_(context) {}

  // Throws a Failure where nothing is known of the input, or the node has no such list of at most 8.
  std::vector<InferredSize> input(std::size_t index) const;
  std::vector<std::int64_t> integers(const char* attribute, std::size_t count) const;
  std::int64_t integer(const char* attribute) const;

  // Leaves the output's shape open where a size is neither known nor has a symbol.
  void set_output(const std::vector<InferredSize>& shape) const;

 private:
  const Operator& op_;
  const Api& api_;
  ShapeInferContext* context_;
};

// The output's extent along one axis of a window. A size that is not known gets a symbol that says how it comes about, so that
// branches which do the same have the same.
InferredSize window_output(const InferredSize& input, std::int64_t pad_begin, std::int64_t pad_end, std::int64_t kernel,
                           std::int64_t dilation, std::int64_t stride);

}  // namespace tritforge::ort
