// What all operators of the domain share: how they present themselves to ONNX Runtime, and the frame of their kernels.
//
// A definition is one line of a table. Its kernel is made when a session loads (it reads and checks everything that is constant,
// and packs weights) and computes once per run, from any number of threads. Both may throw; ONNX Runtime gets a status then.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "ort/ort_api.h"

namespace tritforge::ort {

struct Operator;

// What a kernel computes with in one run.
struct RunContext {
  const Api& api;
  KernelContext* context;
  std::size_t threads;
};

class OperatorKernel {
 public:
  virtual ~OperatorKernel() = default;
  virtual void compute(const RunContext& run) = 0;
};

struct OperatorDefinition {
  const char* name;
  std::span<const ElementType> inputs;
  ElementType output;
  std::unique_ptr<OperatorKernel> (*create)(const Operator&, const KernelInfo*);
  // Tells the shape of the output where it can be known; may throw where it cannot.
  void (*infer)(const Operator&, ShapeInferContext*);
  bool is_ternary = false;
  bool adds_residual = false;
  bool clips = false;  // whether y_max may be below 255
  std::size_t optional_inputs = 0;  // of the last ones
  std::size_t outputs = 1;          // all of one type
  std::size_t optional_outputs = 0;
};

// One definition in one library.
struct Operator : CustomOp {
  Operator(const Api& library, const OperatorDefinition& what, std::size_t thread_count);

  Api api;
  const OperatorDefinition& definition;
  std::size_t threads;  // that a session computes with
};

// Each family has its table.
std::span<const OperatorDefinition> convolution_operators();
std::span<const OperatorDefinition> matmul_operators();
std::span<const OperatorDefinition> pool_operators();
std::span<const OperatorDefinition> training_operators();

}  // namespace tritforge::ort
