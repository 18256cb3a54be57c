// Batch normalization over runs of pixels that stay in the second cache. Sums of a run are float32, those of runs are added in float64.
#include <cmath>
#include <cstring>
#include <initializer_list>
#include <tuple>

#include "training/training_kernels.h"
#include "tritforge/training.h"

namespace tritforge {
namespace {

// Floats of a run.
constexpr std::size_t kRunFloats = std::size_t{1} << 14;
constexpr std::size_t kAlignment = 64;

std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }
std::size_t run_pixels(std::size_t channels) { return channels >= kRunFloats / 8 ? 8 : kRunFloats / channels; }

// Vectors of float32 for a run or as coefficients, and of float64 for all.
struct Scratch {
  float* vectors[6];
  double* totals[2];
};

Scratch carve(std::uint8_t* scratch, std::size_t channels) {
  Scratch carved{};
  for (double*& total : carved.totals) {
    total = reinterpret_cast<double*>(scratch);
    scratch += channels * sizeof(double);
  }
  for (float*& vector : carved.vectors) {
    vector = reinterpret_cast<float*>(scratch);
    scratch += channels * sizeof(float);
  }
  return carved;
}

// What the passes of one normalization begin with: x less `a` goes into each of them.
struct Passes {
  const TrainingKernels& kernels;
  Scratch scratch;
  double count;  // of pixels
  ChannelCall call;
};

Passes passes_over(Isa isa, const BatchNormalization& n, const float* x, const float* a, std::uint8_t* memory) {
  ChannelCall call{};
  call.channels = n.channels;
  call.x = x;
  call.a = a;
  return {training_kernels(isa), carve(memory, n.channels), static_cast<double>(n.pixels), call};
}

bool streams(const TrainingKernels& kernels, const BatchNormalization& n, const float* out, const float* out_added) {
  return n.pixels * n.channels >= kStreamedFloats && is_streamable(kernels, out, n.channels) &&
         is_streamable(kernels, out_added, n.channels);
}

// Runs of all pixels.
template <typename Pass>
void each_run(const BatchNormalization& n, ChannelCall call, const Pass& pass) {
  const std::size_t most = run_pixels(n.channels);
  for (std::size_t done = 0; done < n.pixels; done += most) {
    call.pixels = smaller(most, n.pixels - done);
    pass(call);
    const std::size_t floats = call.pixels * n.channels;
    for (const float** pointer : {&call.x, &call.g, &call.y, &call.added}) {
      if (*pointer != nullptr) *pointer += floats;
    }
    for (float** pointer : {&call.out, &call.out_added}) {
      if (*pointer != nullptr) *pointer += floats;
    }
  }
}

void clear_totals(const Scratch& scratch, std::size_t channels) {
  std::memset(scratch.totals[0], 0, channels * sizeof(double));
  std::memset(scratch.totals[1], 0, channels * sizeof(double));
}

// totals += what `pass` adds to sum and square in a run.
void add_run(ChannelCall run, void (*pass)(const ChannelCall&) noexcept, const Scratch& scratch) {
  run.sum = scratch.vectors[0];
  run.square = scratch.vectors[1];
  std::memset(run.sum, 0, run.channels * sizeof(float));
  std::memset(run.square, 0, run.channels * sizeof(float));
  pass(run);
  for (std::size_t c = 0; c < run.channels; ++c) {
    scratch.totals[0][c] += static_cast<double>(run.sum[c]);
    scratch.totals[1][c] += static_cast<double>(run.square[c]);
  }
}

}  // namespace

std::size_t batch_normalization_scratch_bytes(std::size_t channels) noexcept {
  return channels * (6 * sizeof(float) + 2 * sizeof(double)) + kAlignment;
}

void normalize_batch(Isa isa, const BatchNormalization& n, const float* x, const float* added, const float* scale,
                     const float* bias, float* y, float* mean, float* variance, float* reciprocal,
                     std::uint8_t* memory) noexcept {
  // Distances from the first pixel: nothing cancels where the mean is far above the deviation.
  const auto [kernels, scratch, count, call] = passes_over(isa, n, x, x, memory);
  clear_totals(scratch, n.channels);
  each_run(n, call, [&](const ChannelCall& run) { add_run(run, kernels.moments, scratch); });
  for (std::size_t c = 0; c < n.channels; ++c) {
    const double distance = scratch.totals[0][c] / count;
    const double spread = scratch.totals[1][c] / count - distance * distance;
    mean[c] = static_cast<float>(static_cast<double>(x[c]) + distance);
    variance[c] = static_cast<float>(spread > 0 ? spread : 0);
  }
  normalize_channels(isa, n, x, added, scale, bias, mean, variance, y, reciprocal, memory);
}

void normalize_channels(Isa isa, const BatchNormalization& n, const float* x, const float* added, const float* scale,
                        const float* bias, const float* mean, const float* variance, float* y, float* reciprocal,
                        std::uint8_t* memory) noexcept {
  auto [kernels, scratch, count, call] = passes_over(isa, n, x, mean, memory);
  float* const factor = scratch.vectors[2];
  for (std::size_t c = 0; c < n.channels; ++c) {
    reciprocal[c] = static_cast<float>(1 / std::sqrt(static_cast<double>(variance[c]) + static_cast<double>(n.epsilon)));
    factor[c] = reciprocal[c] * scale[c];
  }
  call.b = factor;
  call.c = bias;
  call.d = n.rectifies ? bias : nullptr;
  call.added = added;
  call.out = y;
  call.streams = streams(kernels, n, y, nullptr);
  each_run(n, call, kernels.normalize);
  if (call.streams) kernels.end_streams();
}

void normalize_batch_gradient(Isa isa, const BatchNormalization& n, const BatchNormalizationGradient& given, float* x_gradient,
                              float* scale_gradient, float* bias_gradient, float* added_gradient,
                              std::uint8_t* memory) noexcept {
  auto [kernels, scratch, count, call] = passes_over(isa, n, given.x, given.mean, memory);
  call.g = given.y_gradient;
  call.y = n.rectifies ? given.y : nullptr;
  if (n.rectifies && given.y == nullptr) {
    // As it was computed, to the bit.
    for (std::size_t c = 0; c < n.channels; ++c) scratch.vectors[4][c] = given.reciprocal[c] * given.scale[c];
    call.factor = scratch.vectors[4];
    call.bias = given.bias;
  }
  const auto [of_g, of_x, rest] = std::tuple{scratch.vectors[2], scratch.vectors[3], scratch.vectors[5]};
  ChannelCall last = call;
  last.b = of_g;
  last.c = given.is_given ? nullptr : of_x;
  last.d = rest;
  last.out = x_gradient;
  last.out_added = n.rectifies ? added_gradient : nullptr;
  last.streams = streams(kernels, n, last.out, last.out_added);
  const auto slope = [&](std::size_t c) { return static_cast<double>(given.reciprocal[c]) * static_cast<double>(given.scale[c]); };
  for (std::size_t c = 0; c < n.channels; ++c) {
    of_g[c] = static_cast<float>(slope(c));
    rest[c] = 0;
  }
  clear_totals(scratch, n.channels);
  // Statistics that are given leave nothing to wait for: both passes of a run while it is in the cache.
  each_run(n, given.is_given ? last : call, [&](const ChannelCall& run) {
    add_run(run, kernels.gradient_sums, scratch);
    if (given.is_given) kernels.gradient(run);
  });
  for (std::size_t c = 0; c < n.channels; ++c) {
    const double r = static_cast<double>(given.reciprocal[c]);
    scale_gradient[c] = static_cast<float>(scratch.totals[1][c] * r);
    bias_gradient[c] = static_cast<float>(scratch.totals[0][c]);
    of_x[c] = static_cast<float>(-slope(c) * r * r * scratch.totals[1][c] / count);
    rest[c] = static_cast<float>(-slope(c) * scratch.totals[0][c] / count);
  }
  if (!given.is_given) each_run(n, last, kernels.gradient);
  if (last.streams) kernels.end_streams();
}

}  // namespace tritforge
