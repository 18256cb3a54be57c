#include <algorithm>
#include <cstring>

#include "convolution/depthwise_block.h"
#include "layouts/depthwise.h"

namespace tritforge {
namespace {

constexpr std::size_t kPlanes = 4, kPieceBytes = 16, kPieceChannels = 4, kStrip = 16;
constexpr unsigned kByteBits = 8, kDwordBits = 32;

// Packed weights of all columns of a quad, `rows` rows further down, which the quad before moves into; null if there is none.
void shift_rows(const std::uint8_t* here, const std::uint8_t* before, std::size_t rows, std::size_t bytes, std::uint8_t* to) {
  const unsigned bits = kByteBits * static_cast<unsigned>(rows);
  if (bits == 0) {
    std::memcpy(to, here, bytes);
    return;
  }
  for (std::size_t i = 0; i < bytes; i += 4) {
    std::uint32_t dword;
    std::memcpy(&dword, here + i, sizeof dword);
    dword <<= bits;
    std::memcpy(to + i, &dword, sizeof dword);
  }
  if (before == nullptr) return;
  for (std::size_t i = 0; i < bytes; i += 4) {
    std::uint32_t last, dword;
    std::memcpy(&last, before + i, sizeof last);
    std::memcpy(&dword, to + i, sizeof dword);
    dword |= last >> (kDwordBits - bits);
    std::memcpy(to + i, &dword, sizeof dword);
  }
}

// A column of the block out of that of 64 channels: some lanes of each plane, again and again if the block is narrow. Only for blocks
// that are not these 64 channels; `to` may be `from`.
void take_lanes(const DepthwiseMicrokernel& kernel, const DepthwiseBlock& b, std::size_t first_channel, const std::uint8_t* from,
                std::uint8_t* to) {
  const std::size_t first_lane = first_channel / kStrip, lanes = b.width / kStrip;
  std::uint8_t column[kDepthwiseColumnBytes];
  std::memcpy(column, from, sizeof column);
  for (std::size_t plane = 0; plane < kPlanes; ++plane) {
    for (std::size_t lane = 0; lane < kernel.vector_channels / kStrip; ++lane, to += kPieceBytes) {
      std::memcpy(to, column + plane * kDepthwiseBlock + (first_lane + (lane & (lanes - 1))) * kPieceBytes,
                  kPieceBytes);
    }
  }
}

// From planes of int8 to those of int16: rows 0 and 2, then rows 1 and 3.
void widen(const DepthwiseMicrokernel& kernel, std::uint8_t* planes) {
  const std::size_t bytes = kPlanes * kernel.vector_channels;
  for (std::size_t i = 0; i < bytes; i += 4) {
    std::int8_t rows[4];
    std::memcpy(rows, planes + i, sizeof rows);
    const std::int16_t even[] = {rows[0], rows[2]}, odd[] = {rows[1], rows[3]};
    std::memcpy(planes + i, even, sizeof even);
    std::memcpy(planes + bytes + i, odd, sizeof odd);
  }
}

void prepare_weights(const DepthwiseMicrokernel& kernel, const DepthwiseBlock& b, const DepthwisePreparation& from,
                     const DepthwiseConstants& to) {
  const std::size_t quad_bytes = b.taps * kDepthwiseColumnBytes, column_bytes = kernel.planes * kernel.vector_channels;
  const bool is_whole = b.width == kDepthwiseBlock;
  std::uint8_t* column = to.weights;
  for (std::size_t shift = 0; shift < b.shifts; ++shift) {
    for (std::size_t quad = 0; quad < b.quads; ++quad) {
      const std::uint8_t* const here = from.weights + quad * quad_bytes;
      std::uint8_t* shifted = is_whole ? column : to.spare;
      shift_rows(here, quad == 0 ? nullptr : here - quad_bytes, shift * b.shift_rows, quad_bytes, shifted);
      for (std::size_t tap = 0; tap < b.taps; ++tap, column += column_bytes, shifted += kDepthwiseColumnBytes) {
        if (!is_whole) take_lanes(kernel, b, from.first_channel, shifted, column);
        if (kernel.planes > kPlanes) widen(kernel, column);
      }
    }
  }
}

// Numbers of the channels of a block in the order of planes; `numbers` has `width` of them.
template <class T>
void spread(const DepthwiseMicrokernel& kernel, const DepthwiseBlock& b, const T* numbers, T* planes) {
  const std::size_t lanes = b.width / kStrip;  // a power of two
  for (std::size_t plane = 0; plane < kPlanes; ++plane) {
    for (std::size_t lane = 0; lane < kernel.vector_channels / kStrip; ++lane, planes += kPieceChannels) {
      std::memcpy(planes, numbers + (lane & (lanes - 1)) * kStrip + plane * kPieceChannels, kPieceBytes);
    }
  }
}

}  // namespace

void prepare_depthwise(const DepthwiseMicrokernel& kernel, const DepthwiseBlock& b, const DepthwisePreparation& from,
                       const DepthwiseConstants& to) noexcept {
  prepare_weights(kernel, b, from, to);
  std::int32_t start[kDepthwiseBlock] = {};
  float multiplier[kDepthwiseBlock] = {};
  const auto zero_point = static_cast<std::uint32_t>(from.zero_point - kernel.input_offset);
  for (std::size_t i = 0; i < b.channels; ++i) {
    start[i] = static_cast<std::int32_t>(0 - zero_point * static_cast<std::uint32_t>(from.column_sums[i]));
  }
  if (from.bias != nullptr) {
    for (std::size_t i = 0; i < b.channels; ++i) {
      start[i] = static_cast<std::int32_t>(static_cast<std::uint32_t>(start[i]) + static_cast<std::uint32_t>(from.bias[i]));
    }
  }
  if (from.multiplier != nullptr) std::copy_n(from.multiplier, b.channels, multiplier);
  spread(kernel, b, start, to.start);
  spread(kernel, b, multiplier, to.multiplier);
}

}  // namespace tritforge
