// Passes of batch normalization over pixels, on vectors of any width; included by the folder of each instruction set. A strip of channels
// stays in registers while the pixels go by.
#pragma once

#include "training/depthwise_rows.h"
#include "training/pool_rows.h"
#include "training/quantize_rows.h"
#include "training/tiles.h"

namespace tritforge {
namespace {

template <typename V>
struct ChannelPasses {
  using Type = typename V::Type;
  using Part = typename V::Part;
  static constexpr std::size_t kLanes = V::kLanes;
  // Few channels make few vectors: then several pixels have sums of their own.
  static constexpr std::size_t kUnroll = 4;

  static void moments(const ChannelCall& call) noexcept {
    sums(call, [&](std::size_t at, Type a, Part part, Rectifier, Type& sum, Type& square) {
      const Type x = V::subtract(V::load_part(call.x + at, part), a);
      sum = V::add(sum, x);
      square = V::multiply_add(x, x, square);
    });
  }

  static void gradient_sums(const ChannelCall& call) noexcept {
    if (call.y != nullptr) return gradient_sums_of<Mask::output>(call);
    return call.factor == nullptr ? gradient_sums_of<Mask::none>(call) : gradient_sums_of<Mask::computed>(call);
  }

  static void normalize(const ChannelCall& call) noexcept {
    if (call.added == nullptr) return call.d == nullptr ? normalize_of<false, false>(call) : normalize_of<false, true>(call);
    return call.d == nullptr ? normalize_of<true, false>(call) : normalize_of<true, true>(call);
  }

  static void end_streams() noexcept { V::end_streams(); }

  static void gradient(const ChannelCall& call) noexcept {
    return call.c == nullptr ? gradient_by<true>(call) : gradient_by<false>(call);
  }

 private:
  // What tells where the rectifier let through: its output, or the output as it was computed, which takes one image less to read.
  enum class Mask { none, output, computed };

  template <Mask kMask>
  static void gradient_sums_of(const ChannelCall& call) noexcept {
    sums(call, [&](std::size_t at, Type a, Part part, Rectifier rectifier, Type& sum, Type& square) {
      const Type x = V::subtract(V::load_part(call.x + at, part), a);
      const Type g = let_through<kMask>(call, at, part, x, rectifier);
      sum = V::add(sum, g);
      square = V::multiply_add(g, x, square);
    });
  }

  // Of a vector of channels.
  struct Rectifier {
    Type factor, bias;
  };

  static TRITFORGE_INLINE Rectifier rectifier_of(const ChannelCall& call, std::size_t first, Part part) noexcept {
    if (call.factor == nullptr) return {V::zero(), V::zero()};
    return {V::load_part(call.factor + first, part), V::load_part(call.bias + first, part)};
  }

  // @param x from which the mean was taken
  template <Mask kMask>
  static TRITFORGE_INLINE Type let_through(const ChannelCall& call, std::size_t at, Part part, Type x,
                                           Rectifier rectifier) noexcept {
    const Type g = V::load_part(call.g + at, part);
    if constexpr (kMask == Mask::none) return g;
    if constexpr (kMask == Mask::output) return V::where_positive(V::load_part(call.y + at, part), g);
    return V::where_positive(V::multiply_add(x, rectifier.factor, rectifier.bias), g);
  }

  template <bool kAdds, bool kRectifies>
  static void normalize_of(const ChannelCall& call) noexcept {
    each(call, [&](std::size_t at, Type a, Type b, Type c, Type, Part part, Rectifier) {
      Type y = V::multiply_add(V::subtract(V::load_part(call.x + at, part), a), b, c);
      if constexpr (kAdds) y = V::add(y, V::load_part(call.added + at, part));
      if constexpr (kRectifies) y = V::where_positive(y, y);
      write(call, call.out + at, y, part);
    });
  }

  template <bool kGiven>
  static void gradient_by(const ChannelCall& call) noexcept {
    if (call.y == nullptr) {
      return call.factor == nullptr ? gradient_of<kGiven, Mask::none, false>(call)
                                    : gradient_of<kGiven, Mask::computed, false>(call);
    }
    return call.out_added == nullptr ? gradient_of<kGiven, Mask::output, false>(call)
                                     : gradient_of<kGiven, Mask::output, true>(call);
  }

  template <bool kGiven, Mask kMask, bool kAdded>
  static void gradient_of(const ChannelCall& call) noexcept {
    each(call, [&](std::size_t at, Type a, Type b, Type c, Type d, Part part, Rectifier rectifier) {
      Type x = V::zero();
      if constexpr (!kGiven || kMask == Mask::computed) x = V::subtract(V::load_part(call.x + at, part), a);
      const Type g = let_through<kMask>(call, at, part, x, rectifier);
      if constexpr (kAdded) write(call, call.out_added + at, g, part);
      Type rest = V::zero();
      if constexpr (!kGiven) rest = V::multiply_add(x, c, d);
      write(call, call.out + at, V::multiply_add(g, b, rest), part);
    });
  }

  static TRITFORGE_INLINE void write(const ChannelCall& call, float* to, Type v, Part part) noexcept {
    if (call.streams) V::stream(to, v);
    else V::store_part(to, v, part);
  }

  // One vector of channels after the other, over a run of pixels that is small enough to stay in the cache.
  template <typename Work>
  static TRITFORGE_INLINE void sums(const ChannelCall& call, Work work) noexcept {
    for (std::size_t first = 0; first < call.channels; first += kLanes) {
      const Part part = V::part(call.channels - first);
      const Type a = V::load_part(call.a + first, part);
      const Rectifier rectifier = rectifier_of(call, first, part);
      Type sum[kUnroll], square[kUnroll];
#pragma GCC unroll 4
      for (std::size_t i = 0; i < kUnroll; ++i) sum[i] = square[i] = V::zero();
      std::size_t p = 0, at = first;
      for (; p + kUnroll <= call.pixels; p += kUnroll, at += kUnroll * call.channels) {
#pragma GCC unroll 4
        for (std::size_t i = 0; i < kUnroll; ++i) work(at + i * call.channels, a, part, rectifier, sum[i], square[i]);
      }
      for (; p < call.pixels; ++p, at += call.channels) work(at, a, part, rectifier, sum[0], square[0]);
      const Type all = V::add(V::add(sum[0], sum[1]), V::add(sum[2], sum[3]));
      const Type squares = V::add(V::add(square[0], square[1]), V::add(square[2], square[3]));
      V::store_part(call.sum + first, V::add(V::load_part(call.sum + first, part), all), part);
      V::store_part(call.square + first, V::add(V::load_part(call.square + first, part), squares), part);
    }
  }

  template <typename Work>
  static TRITFORGE_INLINE void each(const ChannelCall& call, Work work) noexcept {
    for (std::size_t first = 0; first < call.channels; first += kLanes) {
      const Part part = V::part(call.channels - first);
      const Type a = V::load_part(call.a + first, part), b = V::load_part(call.b + first, part);
      const Type c = call.c == nullptr ? V::zero() : V::load_part(call.c + first, part);
      const Rectifier rectifier = rectifier_of(call, first, part);
      const Type d = call.d == nullptr ? V::zero() : V::load_part(call.d + first, part);
      std::size_t p = 0, at = first;
      for (; p + kUnroll <= call.pixels; p += kUnroll, at += kUnroll * call.channels) {
#pragma GCC unroll 4
        for (std::size_t i = 0; i < kUnroll; ++i) work(at + i * call.channels, a, b, c, d, part, rectifier);
      }
      for (; p < call.pixels; ++p, at += call.channels) work(at, a, b, c, d, part, rectifier);
    }
  }
};

template <typename V, std::size_t kVectors, std::size_t kMost, std::size_t kPixels>
constexpr auto tile_of() -> void (*)(const TileCall&) noexcept {
  if constexpr (kPixels <= kMost) return Tile<V, kPixels, kVectors>::run;
  return nullptr;
}

#define TRITFORGE_TILES(V, vectors, most)                                                                                   \
  {                                                                                                                         \
    tile_of<V, vectors, most, 1>(), tile_of<V, vectors, most, 2>(), tile_of<V, vectors, most, 3>(),                         \
        tile_of<V, vectors, most, 4>(), tile_of<V, vectors, most, 5>(), tile_of<V, vectors, most, 6>(),                     \
        tile_of<V, vectors, most, 7>(), tile_of<V, vectors, most, 8>(), tile_of<V, vectors, most, 9>(),                     \
        tile_of<V, vectors, most, 10>(), tile_of<V, vectors, most, 11>(), tile_of<V, vectors, most, 12>(),                  \
        tile_of<V, vectors, most, 13>(), tile_of<V, vectors, most, 14>(), tile_of<V, vectors, most, 15>(),                  \
        tile_of<V, vectors, most, 16>()                                                                                     \
  }

template <typename V, std::size_t kMost, std::size_t kPixels>
constexpr auto line_tile_of() -> void (*)(const TileCall&) noexcept {
  if constexpr (2 * kPixels <= kMost) return Tile<V, kPixels, 2, 2>::run;
  return nullptr;
}

#define TRITFORGE_LINE_TILES(V, most)                                                                     \
  {                                                                                                       \
    line_tile_of<V, most, 1>(), line_tile_of<V, most, 2>(), line_tile_of<V, most, 3>(),                   \
        line_tile_of<V, most, 4>(), line_tile_of<V, most, 5>(), line_tile_of<V, most, 6>(),               \
        line_tile_of<V, most, 7>(), line_tile_of<V, most, 8>()                                            \
  }

#define TRITFORGE_SUMS(V, rows) {Sums<V, rows, 1>::run, Sums<V, rows, 2>::run, Sums<V, rows, 3>::run}

// The kernels of vectors V. @param most_1, most_2 pixels of tiles of one and of two vectors
// @param vectors, sizes of tiles of weight gradients that fit the registers
#define TRITFORGE_TRAINING_KERNELS(V, most_1, most_2, vectors, sizes)                              \
  {                                                                                                \
    V::kLanes, {most_1, most_2}, {TRITFORGE_TILES(V, 1, most_1), TRITFORGE_TILES(V, 2, most_2)},   \
        TRITFORGE_LINE_TILES(V, most_2), vectors, sizes,                                           \
        {TRITFORGE_SUMS(V, 1), TRITFORGE_SUMS(V, 2), TRITFORGE_SUMS(V, 4), TRITFORGE_SUMS(V, 8)},  \
        Depthwise<V>::run, Depthwise<V>::sums, Pool<V>::largest, Pool<V>::gradient,                \
        Quantize<V>::values, Quantize<V>::gradient, ChannelPasses<V>::moments,                     \
        ChannelPasses<V>::normalize, ChannelPasses<V>::gradient_sums, ChannelPasses<V>::gradient,  \
        ChannelPasses<V>::end_streams                                                              \
  }

}  // namespace
}  // namespace tritforge
