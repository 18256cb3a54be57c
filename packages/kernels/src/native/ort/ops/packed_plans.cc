#include "ort/ops/packed_plans.h"

#include <cstdlib>
#include <new>

#include "ort/status.h"
#include "tritforge/cpu.h"

namespace tritforge::ort {
namespace {

void require(tritforge::Status status) {
  if (status == tritforge::Status::out_of_memory) throw std::bad_alloc();
  if (status != tritforge::Status::ok) throw Failure(std::string("the weights cannot be packed: ") + describe(status));
}

// The kernel for a layout; where this CPU has none of its own, the portable one.
const ConvolutionKernel* kernel_for(Layout layout) {
  const ConvolutionKernel* kernel = convolution_kernel(layout, active_isa());
  return kernel != nullptr ? kernel : convolution_kernel(layout, Isa::scalar);
}

std::unique_ptr<PackedPlans::Plan> pack(Layout layout, const Weights& weights) {
  auto plan = std::make_unique<PackedPlans::Plan>();
  plan->kernel = kernel_for(layout);
  const std::size_t bytes = packed_bytes(layout, weights);
  if (plan->kernel == nullptr || bytes == 0) throw Failure("no kernel can hold these weights");
  void* block = nullptr;
  if (posix_memalign(&block, kPackAlignment, bytes) != 0) throw std::bad_alloc();
  plan->block = static_cast<std::uint8_t*>(block);
  require(pack_weights(layout, weights, plan->block));
  require(open_packed(plan->block, bytes, &plan->weights));
  return plan;
}

}  // namespace

PackedPlans::Plan::~Plan() { std::free(block); }

PackedPlans::~PackedPlans() {
  for (const auto& plan : plans_) delete plan.load();
}

const PackedPlans::Plan* PackedPlans::known(std::size_t output_pixels) const noexcept {
  const std::uint64_t last = last_.load(std::memory_order_acquire);
  if (last == kNone || last / kLayouts != output_pixels) return nullptr;
  return plans_[last % kLayouts].load(std::memory_order_acquire);
}

const PackedPlans::Plan& PackedPlans::plan(const Weights& weights, std::size_t output_pixels) {
  const Layout layout = choose_layout(active_isa(), weights, output_pixels, max_code_);
  const auto index = static_cast<std::size_t>(layout);
  if (index >= kLayouts) throw Failure("unknown layout of weights");
  const Plan& found = made(layout, weights);
  last_.store(output_pixels * kLayouts + index, std::memory_order_release);
  return found;
}

const PackedPlans::Plan& PackedPlans::made(Layout layout, const Weights& weights) {
  auto& place = plans_[static_cast<std::size_t>(layout)];
  if (const Plan* plan = place.load(std::memory_order_acquire)) return *plan;
  const std::lock_guard lock(mutex_);
  if (const Plan* plan = place.load(std::memory_order_acquire)) return *plan;
  const Plan* plan = pack(layout, weights).release();
  place.store(plan, std::memory_order_release);
  return *plan;
}

}  // namespace tritforge::ort
