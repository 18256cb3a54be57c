// The packed weights of one node. Which layout is best depends on how many outputs a run has, so a node may come to have more
// than one; each is made once.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>

#include "tritforge/convolution.h"
#include "tritforge/packed_weights.h"
#include "tritforge/weights.h"

namespace tritforge::ort {

class PackedPlans {
 public:
  struct Plan {
    ~Plan();

    std::uint8_t* block = nullptr;
    PackedWeights weights{};
    const ConvolutionKernel* kernel = nullptr;
  };

  // `max_code` as in ConvolutionInput.
  explicit PackedPlans(std::uint8_t max_code) : max_code_(max_code) {}
  ~PackedPlans();
  PackedPlans(const PackedPlans&) = delete;
  PackedPlans& operator=(const PackedPlans&) = delete;

  // The plan of the last call if it was for as many output pixels, or null. Choosing a layout looks at all group codes; runs of one
  // shape do it once.
  const Plan* known(std::size_t output_pixels) const noexcept;

  // The plan for so many output pixels; packs `weights` where it is the first to need a layout. Any number of threads may call
  // this with the same weights. Throws a Failure where they cannot be packed.
  const Plan& plan(const Weights& weights, std::size_t output_pixels);

 private:
  static constexpr std::size_t kLayouts = 16;
  static constexpr std::uint64_t kNone = ~std::uint64_t{0};

  const Plan& made(Layout layout, const Weights& weights);

  const std::uint8_t max_code_;
  std::mutex mutex_;
  std::array<std::atomic<const Plan*>, kLayouts> plans_{};
  std::atomic<std::uint64_t> last_{kNone};  // output pixels · kLayouts + layout
};

}  // namespace tritforge::ort
