#include "layouts/depthwise.h"

#include <memory>
#include <new>

#include "dispatch/layouts.h"

namespace tritforge {
namespace {

std::size_t payload_bytes(WeightKind, const WeightShape& s, std::size_t) noexcept {
  if (s.depth != 1 || s.output_channels != s.groups) return 0;
  return (s.output_channels + kDepthwiseBlock - 1) / kDepthwiseBlock * depthwise_block_bytes(s);
}

// Where the weight of a channel at a kernel position lies.
std::size_t offset_of(const WeightShape& s, std::size_t channel, std::size_t ky, std::size_t kx) {
  const std::size_t column = ky / kDepthwiseQuad * s.kernel_width + kx, in_block = channel % kDepthwiseBlock;
  const std::size_t lane = in_block / 16, plane = in_block % 16 / 4, dword = (plane * 4 + lane) * 4 + in_block % 4;
  return channel / kDepthwiseBlock * depthwise_block_bytes(s) + column * kDepthwiseColumnBytes + dword * kDepthwiseQuad +
         ky % kDepthwiseQuad;
}

template <typename Visit>
void for_each_weight(const WeightShape& s, const Visit& visit) {
  std::size_t index = 0;
  for (std::size_t channel = 0; channel < s.output_channels; ++channel) {
    for (std::size_t ky = 0; ky < s.kernel_height; ++ky) {
      for (std::size_t kx = 0; kx < s.kernel_width; ++kx, ++index) visit(index, offset_of(s, channel, ky, kx));
    }
  }
}

Status pack(const Weights& weights, std::uint8_t* payload) noexcept {
  const std::size_t count = weights.shape.output_channels * tap_count(weights.shape);
  const std::unique_ptr<std::int8_t[]> values(new (std::nothrow) std::int8_t[count]);
  if (!values) return Status::out_of_memory;
  if (const Status status = decode_weights(weights, values.get()); status != Status::ok) return status;
  for_each_weight(weights.shape, [&](std::size_t index, std::size_t offset) {
    payload[offset] = static_cast<std::uint8_t>(values[index]);
  });
  return Status::ok;
}

void unpack(const PackedWeights& packed, std::int8_t* values) noexcept {
  for_each_weight(packed.shape, [&](std::size_t index, std::size_t offset) {
    values[index] = static_cast<std::int8_t>(packed.payload[offset]);
  });
}

// Any byte is a weight.
bool valid(const PackedWeights&) noexcept { return true; }

}  // namespace

const LayoutFunctions kDepthwiseLayout{payload_bytes, pack, unpack, valid};

}  // namespace tritforge
