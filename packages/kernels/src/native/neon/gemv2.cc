// Few rows of int8 activations against 2-bit weights by sdot. Payload, streams and corrections: layouts/gemv2.h. Shifts are cheap here,
// so t + 1 is taken out of its byte as a number from 0 to 2, without a factor 4^s:
//
//   acc[s] = −Σ x + Σ_steps Σ_4 ((byte >> 2s) & 3)·x = Σ t·x        sum += c_s · acc[s]
//
// A block is four registers of four outputs. Its sums for several rows and streams fill 16 registers: one row takes all four streams at
// once, two rows two, more rows one after the other, while the first cache holds the quad.
#include <arm_neon.h>

#include <cstring>

#include "gemv/gemv_kernels.h"
#include "neon/output_stage.h"

namespace tritforge {
namespace {

#define TRITFORGE_INLINE inline __attribute__((always_inline))

constexpr int kVectors = 4;
constexpr std::size_t kLanes = 4;
constexpr float kMaxCode = 127.0f;

TRITFORGE_INLINE int8x16_t broadcast_dword(const std::uint8_t* x) {
  std::int32_t dword;
  std::memcpy(&dword, x, sizeof dword);
  return vreinterpretq_s8_s32(vdupq_n_s32(dword));
}

template <int Stream>
TRITFORGE_INLINE int8x16_t weights_of(uint8x16_t bits) {
  if constexpr (Stream == 0) {
    return vreinterpretq_s8_u8(vandq_u8(bits, vdupq_n_u8(3)));
  } else if constexpr (Stream == 3) {
    return vreinterpretq_s8_u8(vshrq_n_u8(bits, 6));
  } else {
    return vreinterpretq_s8_u8(vandq_u8(vshrq_n_u8(bits, 2 * Stream), vdupq_n_u8(3)));
  }
}

template <int Stream>
TRITFORGE_INLINE int32x4_t codes_of(uint32x4_t codes) {
  if constexpr (Stream == 0) {
    return vreinterpretq_s32_u32(vandq_u32(codes, vdupq_n_u32(0xff)));
  } else {
    return vreinterpretq_s32_u32(vandq_u32(vshrq_n_u32(codes, 8 * Stream), vdupq_n_u32(0xff)));
  }
}

// One stream of a step of a block, for all rows; `x` is the dword of the first row.
template <int Stream, int Rows>
TRITFORGE_INLINE void add_products(const uint8x16_t (&bits)[kVectors], const std::uint8_t* x, std::size_t row_stride,
                                   int32x4_t (&acc)[Rows][kVectors]) {
  int8x16_t weights[kVectors];
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) weights[v] = weights_of<Stream>(bits[v]);
#pragma GCC unroll 4
  for (int m = 0; m < Rows; ++m) {
    const int8x16_t values = broadcast_dword(x + m * row_stride);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[m][v] = vdotq_s32(acc[m][v], weights[v], values);
  }
}

// Where a quad lies: its weights at a block, its activations and corrections in the first row.
struct Quad {
  const std::uint8_t* w;
  std::size_t steps, step_bytes;
  const std::uint8_t* x;
  const std::int32_t* corrections;
};

template <int Stream, int Rows>
TRITFORGE_INLINE void begin_stream(const GemvTile& t, const Quad& q, int32x4_t (&acc)[Rows][kVectors]) {
#pragma GCC unroll 4
  for (int m = 0; m < Rows; ++m) {
    const int32x4_t start = vdupq_n_s32(q.corrections[m * t.correction_stride + Stream]);
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) acc[m][v] = start;
  }
}

template <int Stream, int Rows>
TRITFORGE_INLINE void end_stream(const GemvTile& t, const Quad& q, const int32x4_t (&acc)[Rows][kVectors], std::int32_t* sums) {
  const std::uint8_t* codes = q.w + q.steps * q.step_bytes;
#pragma GCC unroll 4
  for (int v = 0; v < kVectors; ++v) {
    const int32x4_t code = codes_of<Stream>(vreinterpretq_u32_u8(vld1q_u8(codes + 16 * v)));
#pragma GCC unroll 4
    for (int m = 0; m < Rows; ++m) {
      std::int32_t* const sum = sums + m * t.sums_stride + v * kLanes;
      vst1q_s32(sum, vmlaq_s32(vld1q_s32(sum), acc[m][v], code));
    }
  }
}

// Streams First … First + Count − 1 of a quad, for one block.
template <int First, int Count, int Rows>
TRITFORGE_INLINE void add_streams(const GemvTile& t, const Quad& q, std::int32_t* sums) {
  int32x4_t acc[Count][Rows][kVectors];
  begin_stream<First, Rows>(t, q, acc[0]);
  if constexpr (Count > 1) begin_stream<First + 1, Rows>(t, q, acc[1]);
  if constexpr (Count > 2) begin_stream<First + 2, Rows>(t, q, acc[2]);
  if constexpr (Count > 3) begin_stream<First + 3, Rows>(t, q, acc[3]);
  const std::size_t stream = 4 * q.steps;
  const std::uint8_t *w = q.w, *x = q.x + First * stream;
  for (std::size_t step = 0; step < q.steps; ++step, w += q.step_bytes, x += 4) {
    uint8x16_t bits[kVectors];
#pragma GCC unroll 4
    for (int v = 0; v < kVectors; ++v) bits[v] = vld1q_u8(w + 16 * v);
    add_products<First, Rows>(bits, x, t.row_stride, acc[0]);
    if constexpr (Count > 1) add_products<First + 1, Rows>(bits, x + stream, t.row_stride, acc[1]);
    if constexpr (Count > 2) add_products<First + 2, Rows>(bits, x + 2 * stream, t.row_stride, acc[2]);
    if constexpr (Count > 3) add_products<First + 3, Rows>(bits, x + 3 * stream, t.row_stride, acc[3]);
  }
  end_stream<First, Rows>(t, q, acc[0], sums);
  if constexpr (Count > 1) end_stream<First + 1, Rows>(t, q, acc[1], sums);
  if constexpr (Count > 2) end_stream<First + 2, Rows>(t, q, acc[2], sums);
  if constexpr (Count > 3) end_stream<First + 3, Rows>(t, q, acc[3], sums);
}

template <int Rows>
TRITFORGE_INLINE void add_quad(const GemvTile& t, const Quad& q, std::int32_t* sums) {
  if constexpr (Rows == 1) {
    add_streams<0, 4, Rows>(t, q, sums);
  } else if constexpr (Rows == 2) {
    add_streams<0, 2, Rows>(t, q, sums);
    add_streams<2, 2, Rows>(t, q, sums);
  } else {
    add_streams<0, 1, Rows>(t, q, sums);
    add_streams<1, 1, Rows>(t, q, sums);
    add_streams<2, 1, Rows>(t, q, sums);
    add_streams<3, 1, Rows>(t, q, sums);
  }
}

template <int Rows, int Blocks>
void tile(const GemvTile& t) noexcept {
  for (int m = 0; m < Rows; ++m) std::memset(t.sums + m * t.sums_stride, 0, Blocks * kGemvBlock * sizeof(std::int32_t));
  Quad q{t.panel, 0, Blocks * kGemvVectorBytes, t.rows, t.corrections};
  const GemvRun runs[] = {t.main, t.tail};
  for (const GemvRun& run : runs) {
    q.steps = run.steps;
    for (std::size_t quad = 0; quad < run.quads; ++quad) {
      for (int n = 0; n < Blocks; ++n, q.w += kGemvVectorBytes) add_quad<Rows>(t, q, t.sums + n * kGemvBlock);
      q.w += run.steps * q.step_bytes;
      q.x += 4 * kGemvStreams * run.steps;
      q.corrections += kGemvStreams;
    }
  }
}

constexpr GemvMethod kBiased{4,
                             false,
                             {{tile<1, 1>, tile<1, 2>, tile<1, 3>, tile<1, 4>},
                              {tile<2, 1>, tile<2, 2>, tile<2, 3>, tile<2, 4>},
                              {tile<3, 1>, tile<3, 2>, tile<3, 3>, tile<3, 4>},
                              {tile<4, 1>, tile<4, 2>, tile<4, 3>, tile<4, 4>}}};

const GemvMethod& method(std::size_t, std::size_t) noexcept { return kBiased; }

void correct(const std::int8_t* row, const GemvRun& main, const GemvRun& tail, std::int32_t* corrections) noexcept {
  const GemvRun runs[] = {main, tail};
  for (const GemvRun& run : runs) {
    for (std::size_t stream = 0; stream < kGemvStreams * run.quads; ++stream, row += 4 * run.steps) {
      int32x4_t sum = vdupq_n_s32(0);
      std::size_t i = 0;
      for (; i + 4 <= run.steps; i += 4) sum = vdotq_s32(sum, vld1q_s8(row + 4 * i), vdupq_n_s8(1));
      std::int32_t rest = 0;
      for (i *= 4; i < 4 * run.steps; ++i) rest += row[i];
      *corrections++ = -(vaddvq_s32(sum) + rest);
    }
  }
}

// The largest |x| as bits: they are in the order of the values, infinities and NaNs above all.
std::uint32_t largest_magnitude(const float* x, std::size_t depth) {
  uint32x4_t largest = vdupq_n_u32(0);
  std::size_t k = 0;
  for (; k + kLanes <= depth; k += kLanes) largest = vmaxq_u32(largest, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + k))));
  std::uint32_t most = vmaxvq_u32(largest);
  for (; k < depth; ++k) {
    std::uint32_t bits;
    std::memcpy(&bits, x + k, sizeof bits);
    bits &= 0x7fffffff;
    most = bits > most ? bits : most;
  }
  return most;
}

TRITFORGE_INLINE int32x4_t quantize_4(float32x4_t x, float32x4_t divisor) {
  const float32x4_t limit = vdupq_n_f32(kMaxCode);
  return vcvtnq_s32_f32(vmaxq_f32(vminq_f32(vdivq_f32(x, divisor), limit), vnegq_f32(limit)));
}

float quantize(const float* x, std::size_t depth, std::int8_t* q) noexcept {
  constexpr std::uint32_t kInfinity = 0x7f800000;
  const std::uint32_t bits = largest_magnitude(x, depth);
  float scale;
  std::memcpy(&scale, &bits, sizeof scale);
  scale = bits >= kInfinity ? __builtin_nanf("") : scale / kMaxCode;
  if (!(scale > 0.0f)) {
    std::memset(q, 0, depth);
    return scale;
  }
  const float32x4_t divisor = vdupq_n_f32(scale);
  std::size_t k = 0;
  for (; k + 2 * kLanes <= depth; k += 2 * kLanes) {
    const int32x4_t low = quantize_4(vld1q_f32(x + k), divisor), high = quantize_4(vld1q_f32(x + k + kLanes), divisor);
    vst1_s8(q + k, vmovn_s16(vcombine_s16(vmovn_s32(low), vmovn_s32(high))));
  }
  for (; k < depth; ++k) q[k] = static_cast<std::int8_t>(vgetq_lane_s32(quantize_4(vdupq_n_f32(x[k]), divisor), 0));
  return scale;
}

// The first `count` of 4 numbers, the rest 0.
TRITFORGE_INLINE int32x4_t load_some(const void* from, std::size_t count) {
  std::int32_t numbers[kLanes] = {};
  if (count >= kLanes) {
    std::memcpy(numbers, from, sizeof numbers);
  } else {
    std::memcpy(numbers, from, count * sizeof(std::int32_t));
  }
  return vld1q_s32(numbers);
}

TRITFORGE_INLINE float32x4_t load_some_floats(const float* from, std::size_t count) {
  return vreinterpretq_f32_s32(load_some(from, count));
}

// 4 sums from `first` on, completed; only `count` of each array are read.
TRITFORGE_INLINE int32x4_t complete(const std::int32_t* sums, const GemvCompletion& c, std::size_t first, std::size_t count) {
  int32x4_t sum = load_some(sums + first, count);
  if (c.offset != 0) sum = vmlaq_n_s32(sum, load_some(c.column_sums + first, count), c.offset);
  return c.bias == nullptr ? sum : vaddq_s32(sum, load_some(c.bias + first, count));
}

void scale(const std::int32_t* sums, const GemvCompletion& completion, std::size_t count, float scale, const float* channel_scales,
           const float* bias, float* y) noexcept {
  for (std::size_t i = 0; i < count; i += kLanes) {
    const std::size_t left = count - i;
    const float32x4_t factor = vmulq_f32(vdupq_n_f32(scale), load_some_floats(channel_scales + i, left));
    float32x4_t product = vmulq_f32(vcvtq_f32_s32(complete(sums, completion, i, left)), factor);
    if (bias != nullptr) product = vaddq_f32(product, load_some_floats(bias + i, left));
    float results[kLanes];
    vst1q_f32(results, product);
    std::memcpy(y + i, results, (left < kLanes ? left : kLanes) * sizeof(float));
  }
}

void store(const std::int32_t* sums, const GemvCompletion& completion, const OutputTile& tile) noexcept {
  for (std::size_t first = 0; first < tile.channels; first += neon::kStripOutputs) {
    int32x4_t strip[1][neon::kStripVectors];
    for (std::size_t v = 0; v < neon::kStripVectors; ++v) {
      const std::size_t at = first + v * kLanes;
      strip[0][v] = complete(sums, completion, at, tile.channels > at ? tile.channels - at : 0);
    }
    neon::store_tile(strip, advance(tile, 0, first));
  }
}

#undef TRITFORGE_INLINE

}  // namespace

const GemvKernels kGemvNeon{"u8_gemv2__neon", "f32_gemv2__neon", method, correct, quantize, scale, store};

}  // namespace tritforge
