// Where the window of each output pixel lies in memory, so that a microkernel reads it with the same few offsets for all pixels.
//
// Output pixels are numbered in rows: row r is row r % OH of image r / OH. A window is a list of taps, each a run of whole dwords
// from a fixed offset; with a dilation of 1 a tap is a whole row of the kernel (layouts/dot8.h), else one of its pixels. Three ways:
//
//   input     the image itself: no pixel outside of it is needed
//   padded    a copy of the input rows that some output rows need, with the zero point around. Copying costs 1 to 2 % of a 3×3
//             convolution and brings the rows into the cache
//   gathered  a copy in which every output pixel has its kernel rows to itself: for taps that are not whole dwords and do not lie
//             side by side, because of a dilation or of groups. One group at a time
//
// The last dword of a tap may reach past its bytes, where weights are zero: into the next pixel, a spare part of the copy, or, for
// the last pixels of an input that is not copied, into a copy of just these.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tritforge/convolution.h"

namespace tritforge {

enum class WindowSource : std::uint8_t { input, padded, gathered };

struct WindowPlan {
  WeightShape shape;
  ConvolutionGeometry geometry;  // a product of matrices or a 1×1 convolution has one row for each pixel
  WindowSource source;
  std::size_t rows, width;       // output rows of all images, pixels of a row
  std::size_t tap_count, tap_dwords;
  std::size_t group_bytes;       // from the window of a group to that of the next; 0: read one group at a time
  std::size_t pixel_bytes;       // between neighbouring pixels of what is read
  std::size_t row_bytes;         // between its rows
};

WindowPlan plan_windows(const WeightShape& shape, const ConvolutionGeometry& geometry) noexcept;

// Bytes from the first byte of a window to each of its taps, [tap_count].
void fill_taps(const WindowPlan& plan, std::ptrdiff_t* taps) noexcept;

// Scratch for `rows` output rows.
std::size_t window_bytes(const WindowPlan& plan, std::size_t rows) noexcept;

// The first bytes of the windows of `count` output rows from `first` on, [count · width], for `group` if the plan is of one group at
// a time and for the first group otherwise. `buffer` has window_bytes(plan, count).
void locate_windows(const WindowPlan& plan, const ConvolutionInput& input, std::size_t group, std::size_t first, std::size_t count,
                    std::uint8_t* buffer, const std::uint8_t** windows) noexcept;

}  // namespace tritforge
