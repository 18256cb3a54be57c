// The second and third step of depthwise convolution, written once for all instruction sets: included by the file of each, which
// gives the operations of its vectors as a class V:
//
//   kVector            bytes of a vector; kPlanes: of a quad, 4 or 8; kMostVectors: of a tile, 2 or 4
//   Int, Float         vectors of int32 (or bytes) and of float32
//   load, store, load_floats
//   multiply_add       sum + the dot products of a plane's dwords with its weights; planes p and p + 4 add to the same sum
//   product_bits       float(sum) · multiplier as bits
//   interleave         four rows into planes
//   gather             columns of a block into a vector, without reading another byte
//   Codes, SumCodes    the output stage for uint8, SumCodes with a residual: scale, then pack
//   store_bytes        a vector of codes into its columns, without writing another byte
//
// Everything is in an anonymous namespace and inlined, so that each instruction set keeps its own copy.
#pragma once

#include <cstring>
#include <type_traits>

#include "convolution/depthwise_block.h"

namespace tritforge {
namespace {
namespace depthwise {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr std::size_t kSumPlanes = 4, kPieceBytes = 16, kPieceChannels = 4;

// Pixels of a vector, as a power of two.
template <class V>
TRITFORGE_INLINE int log_pixels(const DepthwiseBlock& b) {
  int log = 0;
  while (b.width << log < V::kVector) ++log;
  return log;
}

// Whether a vector of neighbouring pixels of the block, `step` apart, is a piece of memory.
template <class V>
TRITFORGE_INLINE bool is_contiguous(const DepthwiseBlock& b, std::size_t step) {
  return b.channels == b.width && (b.width == V::kVector || step == b.width);
}

template <class V>
void interleave(const DepthwiseBlock& block, const DepthwiseColumns& columns) noexcept {
  const DepthwiseBlock b = block;
  const DepthwiseColumns c = columns;
  const std::size_t pixels = std::size_t{1} << log_pixels<V>(b);
  const std::uint8_t* r[4];
  bool contiguous = b.channels == b.width;
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    r[i] = c.rows[i];
    contiguous = contiguous && (c.steps[i] == 0 || is_contiguous<V>(b, c.steps[i]));
  }
  std::uint8_t* to = c.planes;
  std::size_t left = c.count;
  for (; contiguous && left >= pixels; left -= pixels, to += V::kVector) {
    V::interleave(V::load(r[0]), V::load(r[1]), V::load(r[2]), V::load(r[3]), to, c.plane_bytes);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r[i] += pixels * c.steps[i];
  }
  for (; left > 0; left -= left < pixels ? left : pixels, to += V::kVector) {
    V::interleave(V::gather(r[0], c.steps[0], left, b), V::gather(r[1], c.steps[1], left, b), V::gather(r[2], c.steps[2], left, b),
                  V::gather(r[3], c.steps[3], left, b), to, c.plane_bytes);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i) r[i] += pixels * c.steps[i];
  }
}

// One vector of pixels in the output.
struct Place {
  std::size_t element;  // of the first pixel and channel
  std::size_t pixels;   // that exist
};

// Output stages in two steps: `scale` for the sums of a plane, `put` for those of four planes. kWhole: the vector lies in the output
// as it is; kPieces: it never does.
template <class V>
struct StoreU8 {
  static constexpr bool kIsUsual = true, kPieces = false;
  typename V::Codes codes;
  explicit TRITFORGE_INLINE StoreU8(const PreparedStage& stage) : codes(stage) {}
  TRITFORGE_INLINE typename V::Int scale(typename V::Int sums, const float* multiplier) const {
    return codes.scale(sums, V::load_floats(multiplier));
  }
  template <bool kWhole>
  TRITFORGE_INLINE void put(const DepthwiseBlock& b, const OutputTile& out, const Place& at,
                            const typename V::Int (&v)[kSumPlanes]) const {
    V::template store_bytes<kWhole>(static_cast<std::uint8_t*>(out.output) + at.element, codes.pack(v), out.row_stride, at.pixels, b);
  }
};

template <class V>
struct StoreU8Sum {
  static constexpr bool kIsUsual = false, kPieces = false;
  typename V::SumCodes codes;
  explicit TRITFORGE_INLINE StoreU8Sum(const PreparedStage& stage) : codes(stage) {}
  TRITFORGE_INLINE typename V::Int scale(typename V::Int sums, const float* multiplier) const {
    return codes.scale(sums, V::load_floats(multiplier));
  }
  template <bool kWhole>
  TRITFORGE_INLINE void put(const DepthwiseBlock& b, const OutputTile& out, const Place& at,
                            const typename V::Int (&v)[kSumPlanes]) const {
    const std::uint8_t* const from = out.residual + at.element;
    const typename V::Int residual = kWhole ? V::load(from) : V::gather(from, out.row_stride, at.pixels, b);
    V::template store_bytes<kWhole>(static_cast<std::uint8_t*>(out.output) + at.element, codes.pack(v, residual), out.row_stride,
                                    at.pixels, b);
  }
};

// 32-bit elements, four channels at once.
template <class V, bool kFloats>
struct Store32 {
  static constexpr bool kIsUsual = false, kPieces = true;
  explicit TRITFORGE_INLINE Store32(const PreparedStage&) {}
  TRITFORGE_INLINE typename V::Int scale(typename V::Int sums, const float* multiplier) const {
    if constexpr (kFloats) return V::product_bits(sums, V::load_floats(multiplier));
    return sums;
  }
  template <bool>
  TRITFORGE_INLINE void put(const DepthwiseBlock& b, const OutputTile& out, const Place& at,
                            const typename V::Int (&v)[kSumPlanes]) const {
    alignas(64) std::uint8_t planes[kSumPlanes][V::kVector];
    for (std::size_t i = 0; i < kSumPlanes; ++i) V::store(planes[i], v[i]);
    for (std::size_t pixel = 0; pixel < at.pixels; ++pixel) {
      auto* const y = static_cast<std::uint8_t*>(out.output) + 4 * (at.element + pixel * out.row_stride);
      for (std::size_t channel = 0; channel < b.channels; channel += kPieceChannels) {
        const std::uint8_t* const piece = planes[channel / kPieceChannels % kSumPlanes] + pixel * b.width + channel / 16 * kPieceBytes;
        const std::size_t left = b.channels - channel;
        std::memcpy(y + 4 * channel, piece, left < kPieceChannels ? 4 * left : kPieceBytes);
      }
    }
  }
};

// A row in the hands of multiply: copies that no store can change.
template <class Store>
struct Job {
  DepthwiseBlock block;
  DepthwiseConstants constants;
  DepthwiseRow row;
  Store store;
  int log_pixels;
};

// Sums of planes plane … plane + kCount − 1. Any kernel.
template <class V, std::size_t kVectors, std::size_t kCount>
TRITFORGE_INLINE void add_any(const DepthwiseBlock& b, const DepthwiseRow& row, const std::uint8_t* w, const std::uint8_t* x,
                              typename V::Int (&sums)[kVectors][kCount]) {
  for (std::size_t q = 0; q < b.quads; ++q, x += row.quad_bytes) {
    const std::uint8_t* column = x;
    for (std::size_t tap = 0; tap < b.taps; ++tap, column += row.tap_bytes, w += V::kPlanes * V::kVector) {
#pragma GCC unroll 8
      for (std::size_t part = 0; part < V::kPlanes; part += kSumPlanes) {
#pragma GCC unroll 4
        for (std::size_t p = 0; p < kCount; ++p) {
          const typename V::Int weights = V::load(w + (part + p) * V::kVector);
#pragma GCC unroll 4
          for (std::size_t i = 0; i < kVectors; ++i) {
            const typename V::Int values = V::load(column + (part + p) * row.plane_bytes + i * row.vector_bytes);
            sums[i][p] = V::multiply_add(sums[i][p], values, weights);
          }
        }
      }
    }
  }
}

// How neighbouring vectors of pixels share columns: vector i and kernel column j need column i · kStep + j, and columns are kTapBytes
// apart.
template <std::size_t kStepOf, std::size_t kTapBytesOf>
struct Sharing {
  static constexpr std::size_t kStep = kStepOf, kTapBytes = kTapBytesOf;
};

// The same for one plane of a single quad and three kernel columns, all unrolled.
template <class V, std::size_t kVectors, class S>
TRITFORGE_INLINE void add_three(const DepthwiseRow& row, const std::uint8_t* w, const std::uint8_t* x,
                                typename V::Int (&sums)[kVectors][1]) {
  constexpr std::size_t kTaps = 3, kColumns = (kVectors - 1) * S::kStep + kTaps;
#pragma GCC unroll 2
  for (std::size_t part = 0; part < V::kPlanes / kSumPlanes; ++part) {
    typename V::Int weights[kTaps], columns[kColumns];
#pragma GCC unroll 8
    for (std::size_t tap = 0; tap < kTaps; ++tap) weights[tap] = V::load(w + tap * V::kPlanes * V::kVector);
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kColumns; ++i) columns[i] = V::load(x + i * S::kTapBytes);
#pragma GCC unroll 8
    for (std::size_t tap = 0; tap < kTaps; ++tap) {
#pragma GCC unroll 8
      for (std::size_t i = 0; i < kVectors; ++i) {
        sums[i][0] = V::multiply_add(sums[i][0], columns[i * S::kStep + tap], weights[tap]);
      }
    }
    w += kSumPlanes * V::kVector;
    x += kSumPlanes * row.plane_bytes;
  }
}

// Any number of kernel columns and rows, any distances.
struct AnyKernel {};

template <class V, std::size_t kVectors, class Kernel, bool kWhole, class Store>
TRITFORGE_INLINE void tile(const Job<Store>& job, std::size_t first) {
  const DepthwiseBlock& b = job.block;
  const DepthwiseRow& row = job.row;
  typename V::Int values[kVectors][kSumPlanes];
  const std::uint8_t* const w = job.constants.weights + row.shift * b.quads * b.taps * V::kPlanes * V::kVector;
  const std::uint8_t* const x = row.planes + first * row.vector_bytes;
  constexpr bool kAny = std::is_same_v<Kernel, AnyKernel>;
  constexpr std::size_t kCount = kAny ? 2 : 1;
#pragma GCC unroll 4
  for (std::size_t plane = 0; plane < kSumPlanes; plane += kCount) {
    const std::uint8_t* const x_plane = x + plane * row.plane_bytes;
    typename V::Int sums[kVectors][kCount];
#pragma GCC unroll 8
    for (std::size_t i = 0; i < kVectors; ++i) {
#pragma GCC unroll 8
      for (std::size_t p = 0; p < kCount; ++p) sums[i][p] = V::load(job.constants.start + (plane + p) * (V::kVector / 4));
    }
    if constexpr (kAny) {
      add_any<V>(b, row, w + plane * V::kVector, x_plane, sums);
    } else {
      add_three<V, kVectors, Kernel>(row, w + plane * V::kVector, x_plane, sums);
    }
#pragma GCC unroll 4
    for (std::size_t p = 0; p < kCount; ++p) {
#pragma GCC unroll 8
      for (std::size_t i = 0; i < kVectors; ++i) {
        values[i][plane + p] = job.store.scale(sums[i][p], job.constants.multiplier + (plane + p) * (V::kVector / 4));
      }
    }
  }
#pragma GCC unroll 8
  for (std::size_t i = 0; i < kVectors; ++i) {
    const std::size_t pixel = (first + i) << job.log_pixels, pixels = std::size_t{1} << job.log_pixels, left = row.count - pixel;
    const Place at{pixel * row.out.row_stride, left < pixels ? left : pixels};
    job.store.template put<kWhole>(b, row.out, at, values[i]);
  }
}

// Whole vectors: tiles of 4 and 3, never a lonely one if there are more; or of 2. Others come one by one.
template <class V, class Kernel, bool kWhole, class Store>
TRITFORGE_INLINE void multiply_vectors(const Job<Store>& job, std::size_t first, std::size_t end) {
  if constexpr (!kWhole) {
    for (; first < end; ++first) tile<V, 1, Kernel, false>(job, first);
    return;
  }
  if constexpr (V::kMostVectors == 4) {
    for (; end - first > 6 || end - first == 4; first += 4) tile<V, 4, Kernel, kWhole>(job, first);
    for (; end - first >= 3; first += 3) tile<V, 3, Kernel, kWhole>(job, first);
  }
  for (; end - first >= 2; first += 2) tile<V, 2, Kernel, kWhole>(job, first);
  if (end - first == 1) tile<V, 1, Kernel, kWhole>(job, first);
}

template <class V, class Kernel, class Store>
void multiply_row(const DepthwiseBlock& b, const DepthwiseConstants& c, const DepthwiseRow& row) {
  const Job<Store> job{b, c, row, Store(*row.out.stage), log_pixels<V>(b)};
  const std::size_t vectors = (row.count + (std::size_t{1} << job.log_pixels) - 1) >> job.log_pixels;
  std::size_t whole = 0;
  if constexpr (!Store::kPieces) {
    if (is_contiguous<V>(b, row.out.row_stride)) whole = row.count >> job.log_pixels;
    multiply_vectors<V, Kernel, true>(job, 0, whole);
  }
  multiply_vectors<V, Kernel, false>(job, whole, vectors);
}

// Unrolled for the kernels and steps of networks, and for their output stage alone: every combination costs time to compile.
template <class V, class Store>
void multiply_kind(const DepthwiseBlock& b, const DepthwiseConstants& c, const DepthwiseRow& row) {
  if constexpr (!Store::kIsUsual) return multiply_row<V, AnyKernel, Store>(b, c, row);
  if (b.quads > 1 || b.taps != 3) return multiply_row<V, AnyKernel, Store>(b, c, row);
  const auto are = [&](std::size_t tap_bytes, std::size_t step) {
    return row.tap_bytes == tap_bytes && row.vector_bytes == step * tap_bytes;
  };
  if (are(V::kVector, 1)) return multiply_row<V, Sharing<1, V::kVector>, Store>(b, c, row);
  if (are(V::kVector, 2)) return multiply_row<V, Sharing<2, V::kVector>, Store>(b, c, row);
  if (are(V::kVector / 2, 2)) return multiply_row<V, Sharing<2, V::kVector / 2>, Store>(b, c, row);
  multiply_row<V, AnyKernel, Store>(b, c, row);
}

template <class V>
void multiply(const DepthwiseBlock& b, const DepthwiseConstants& c, const DepthwiseRow& row) noexcept {
  switch (row.out.stage->kind) {
    case OutputKind::s32: return multiply_kind<V, Store32<V, false>>(b, c, row);
    case OutputKind::f32: return multiply_kind<V, Store32<V, true>>(b, c, row);
    case OutputKind::u8:
      if (row.out.stage->adds) return multiply_kind<V, StoreU8Sum<V>>(b, c, row);
      return multiply_kind<V, StoreU8<V>>(b, c, row);
  }
}

#undef TRITFORGE_INLINE

}  // namespace depthwise
}  // namespace
}  // namespace tritforge
