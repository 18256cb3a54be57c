// The walk of a convolution over its images: bands of outputs whose input stays in the second cache, padded there.
#pragma once

#include <cstddef>
#include <cstring>

#include "tritforge/training.h"

namespace tritforge::training {

inline constexpr std::size_t kAlignment = 64;
// Floats of a band: half of a second cache of 512 KB, and a quarter of larger ones.
inline constexpr std::size_t kBandFloats = std::size_t{1} << 16;

inline std::size_t smaller(std::size_t a, std::size_t b) { return a < b ? a : b; }
inline std::size_t larger(std::size_t a, std::size_t b) { return a > b ? a : b; }
inline std::size_t ceil_div(std::size_t a, std::size_t b) { return (a + b - 1) / b; }
inline std::size_t aligned_floats(std::size_t count) { return ceil_div(count, kAlignment / sizeof(float)) * (kAlignment / sizeof(float)); }

// A convolution whose outputs may lie apart and whose padding may be negative, which crops.
struct Walk {
  std::size_t images, height, width, channels;
  std::size_t rows, columns;  // of outputs
  std::size_t kernel_height, kernel_width, stride_height, stride_width;
  std::ptrdiff_t top, left;

  std::size_t needed_height() const { return (rows - 1) * stride_height + kernel_height; }
  std::size_t needed_width() const { return (columns - 1) * stride_width + kernel_width; }
  bool is_padded() const {
    const auto h = static_cast<std::ptrdiff_t>(height), w = static_cast<std::ptrdiff_t>(width);
    return top > 0 || left > 0 || static_cast<std::ptrdiff_t>(needed_height()) - top > h ||
           static_cast<std::ptrdiff_t>(needed_width()) - left > w;
  }
};

// A part of the work whose input is in the cache.
struct Band {
  std::size_t image, images, row, rows;
  const float* input;             // of the first tap of the first output
  std::size_t image_stride, row_stride;  // floats
};

// Floats of the band of padded images, with a row at least.
inline std::size_t band_floats(const Walk& walk, std::size_t most = kBandFloats) {
  const std::size_t row = walk.needed_width() * walk.channels;
  const std::size_t image = walk.needed_height() * row, least = walk.kernel_height * row;
  if (image <= most) return smaller(walk.images, larger(most / image, 1)) * image;
  return larger(most, least);
}

inline void copy_padded(const Walk& walk, const float* x, std::size_t image, std::size_t first_row, std::size_t rows, float* to) {
  const std::size_t width = walk.needed_width(), channels = walk.channels;
  for (std::size_t r = 0; r < rows; ++r, to += width * channels) {
    const std::ptrdiff_t y = static_cast<std::ptrdiff_t>(first_row + r) - walk.top;
    if (y < 0 || y >= static_cast<std::ptrdiff_t>(walk.height)) {
      std::memset(to, 0, width * channels * sizeof(float));
      continue;
    }
    const float* const row = x + (image * walk.height + static_cast<std::size_t>(y)) * walk.width * channels;
    const std::size_t before = walk.left > 0 ? smaller(static_cast<std::size_t>(walk.left), width) : 0;
    const std::size_t skipped = walk.left < 0 ? static_cast<std::size_t>(-walk.left) : 0;
    const std::size_t there = walk.width > skipped ? smaller(walk.width - skipped, width - before) : 0;
    std::memset(to, 0, before * channels * sizeof(float));
    std::memcpy(to + before * channels, row + skipped * channels, there * channels * sizeof(float));
    std::memset(to + (before + there) * channels, 0, (width - before - there) * channels * sizeof(float));
  }
}

// Calls work(band) for bands that make up all outputs. @param padded band_floats of memory
template <typename Work>
void for_each_band(const Walk& walk, const float* x, float* padded, Work work, std::size_t most = kBandFloats) {
  const bool copies = walk.is_padded();
  const std::size_t row = walk.needed_width() * walk.channels;
  const std::size_t image_floats = walk.needed_height() * row;
  const std::size_t images = image_floats <= most ? larger(most / image_floats, 1) : 1;
  const std::size_t fitting = larger(most / row, walk.kernel_height);
  const std::size_t rows = image_floats <= most ? walk.rows : (fitting - walk.kernel_height) / walk.stride_height + 1;
  for (std::size_t image = 0; image < walk.images; image += images) {
    const std::size_t some = smaller(images, walk.images - image);
    for (std::size_t first = 0; first < walk.rows; first += rows) {
      const std::size_t high = smaller(rows, walk.rows - first);
      const std::size_t input_rows = (high - 1) * walk.stride_height + walk.kernel_height;
      Band band{image, some, first, high, padded, input_rows * row, row};
      if (copies) {
        for (std::size_t i = 0; i < some; ++i) {
          copy_padded(walk, x, image + i, first * walk.stride_height, input_rows, padded + i * band.image_stride);
        }
      } else {
        band.image_stride = walk.height * walk.width * walk.channels;
        band.row_stride = walk.width * walk.channels;
        band.input = x + image * band.image_stride +
                     (first * walk.stride_height + static_cast<std::size_t>(-walk.top)) * band.row_stride +
                     static_cast<std::size_t>(-walk.left) * walk.channels;
      }
      work(band);
    }
  }
}

inline Walk forward_walk(const FloatConvolution& c) {
  return {c.images,        c.height,       c.width,         c.channels,     c.output_height,
          c.output_width,  c.kernel_height, c.kernel_width, c.stride_height, c.stride_width,
          static_cast<std::ptrdiff_t>(c.pad_top), static_cast<std::ptrdiff_t>(c.pad_left)};
}

inline bool is_product(const FloatConvolution& c) {
  return c.kernel_height == 1 && c.kernel_width == 1 && c.stride_height == 1 && c.stride_width == 1 && c.pad_top == 0 &&
         c.pad_left == 0 && c.output_height == c.height && c.output_width == c.width;
}

// Pixels of a product as images of one row, so that they fill tiles and bands; `rest` has those that are over.
struct Product {
  Walk walk, rest;
};

inline Product product_walks(std::size_t pixels, std::size_t channels, std::size_t most = kBandFloats) {
  constexpr std::size_t kTiles = 14 * 16;  // of 14, 8 or 7 pixels
  const std::size_t fitting = larger(most / channels / kTiles, 1) * kTiles;
  const std::size_t columns = smaller(fitting, pixels);
  const auto walk = [&](std::size_t images, std::size_t width) {
    return Walk{images, 1, width, channels, 1, width, 1, 1, 1, 1, 0, 0};
  };
  return {walk(pixels / columns, columns), walk(pixels % columns == 0 ? 0 : 1, pixels % columns)};
}

}  // namespace tritforge::training
