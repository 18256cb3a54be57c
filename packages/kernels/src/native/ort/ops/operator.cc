#include "ort/ops/operator.h"

#include <algorithm>

#include "ort/status.h"

namespace tritforge::ort {
namespace {

// The newest layout of CustomOp that we fill.
constexpr std::uint32_t kNewestLayout = 18;
constexpr int kRequired = 0, kOptional = 1;

const Operator& as_operator(const CustomOp* op) { return *static_cast<const Operator*>(op); }

// A kernel with what its callbacks need.
struct Instance {
  const Operator& op;
  std::unique_ptr<OperatorKernel> kernel;
};

Status* create(const CustomOp* op, const void*, const KernelInfo* info, void** kernel) {
  const Operator& self = as_operator(op);
  return guarded(self.api, [&] {
    *kernel = std::make_unique<Instance>(Instance{self, self.definition.create(self, info)}).release();
  });
}

Status* compute(void* kernel, KernelContext* context) {
  const Instance& instance = *static_cast<Instance*>(kernel);
  return guarded(instance.op.api, [&] { instance.kernel->compute({instance.op.api, context, instance.op.threads}); });
}

Status* infer(const CustomOp* op, ShapeInferContext* context) {
  const Operator& self = as_operator(op);
  Status* status = guarded(self.api, [&] { self.definition.infer(self, context); });
  // A shape that is not known is no error; what is wrong with a node is said when its kernel is made.
  if (status != nullptr) self.api(kReleaseStatus, status);
  return nullptr;
}

}  // namespace

Operator::Operator(const Api& library, const OperatorDefinition& what, std::size_t thread_count)
    : CustomOp{}, api(library), definition(what), threads(thread_count) {
  version = std::min(library.version(), kNewestLayout);
  get_name = [](const CustomOp* op) { return as_operator(op).definition.name; };
  get_execution_provider_type = [](const CustomOp*) { return "CPUExecutionProvider"; };
  get_input_type = [](const CustomOp* op, std::size_t i) { return as_operator(op).definition.inputs[i]; };
  get_input_type_count = [](const CustomOp* op) { return as_operator(op).definition.inputs.size(); };
  get_output_type = [](const CustomOp* op, std::size_t) { return as_operator(op).definition.output; };
  get_output_type_count = [](const CustomOp* op) { return as_operator(op).definition.outputs; };
  get_input_characteristic = [](const CustomOp* op, std::size_t i) {
    const OperatorDefinition& d = as_operator(op).definition;
    return i + d.optional_inputs >= d.inputs.size() ? kOptional : kRequired;
  };
  get_output_characteristic = [](const CustomOp* op, std::size_t i) {
    const OperatorDefinition& d = as_operator(op).definition;
    return i + d.optional_outputs >= d.outputs ? kOptional : kRequired;
  };
  get_input_memory_type = [](const CustomOp*, std::size_t) { return 0; };
  create_kernel_v2 = create;
  kernel_compute_v2 = compute;
  kernel_destroy = [](void* kernel) { delete static_cast<Instance*>(kernel); };
  infer_output_shape = infer;
  get_start_version = [](const CustomOp*) { return 1; };
  get_end_version = [](const CustomOp*) { return 1; };
}

}  // namespace tritforge::ort
