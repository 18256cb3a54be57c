#include "dispatch/layouts.h"

namespace tritforge {
namespace {

std::size_t payload_bytes(WeightKind, const WeightShape&, std::size_t) noexcept { return 0; }
Status pack(const Weights&, std::uint8_t*) noexcept { return Status::unsupported; }
void unpack(const PackedWeights&, std::int8_t*) noexcept {}
bool valid(const PackedWeights&) noexcept { return false; }

}  // namespace

const LayoutFunctions kGemv2Layout{payload_bytes, pack, unpack, valid};

const ConvolutionKernel* gemv2_kernel(Isa) noexcept { return nullptr; }

}  // namespace tritforge

namespace tritforge {
const DynamicGemv* dynamic_gemv(Isa) noexcept { return nullptr; }
}  // namespace tritforge
