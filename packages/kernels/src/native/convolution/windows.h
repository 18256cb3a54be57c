// Where the window of each output pixel lies in memory, so that a microkernel reads it with the same few offsets for many pixels.
//
// Output pixels are numbered in rows: row r is row r % OH of image r / OH. A window is a list of taps, each a run of whole dwords at
// a fixed offset from the window's first byte: a row of the kernel if its bytes lie side by side (dilation 1, one group), else one of
// its positions. Three sources:
//
//   input     the image itself. Where windows leave the image, pixels are put in zones by the taps that stay inside, nine for a 3×3
//             kernel, and the others are left out: x − z is 0 there. So the border costs less than the middle (at 7×7 pixels a
//             fifth of all products falls away) and nothing is copied
//   padded    a copy of the input rows that some output rows need, with the zero point around: for kernel rows that are not whole
//             dwords, as in a first layer, and for images so small that zones make poor tiles
//   gathered  a copy in which every output pixel has its kernel rows to itself: for taps that are not whole dwords and do not lie
//             side by side, because of a dilation or of groups. One group at a time
//
// The last dword of a tap may reach past its bytes, where weights are zero: into the next pixel, a spare part of the copy, or, for
// the last pixels of an input that is not copied, into a copy of just these.
#pragma once

#include <cstddef>
#include <cstdint>

#include "convolution/dot_block.h"
#include "tritforge/convolution.h"

namespace tritforge {

enum class WindowSource : std::uint8_t { input, padded, gathered };

// Neighbouring outputs along one axis that see the same positions of the kernel.
struct Span {
  std::size_t begin, end;          // outputs
  std::size_t first_tap, end_tap;  // positions of the kernel
};

inline constexpr std::size_t kMostSpans = 8;

struct Spans {
  Span items[kMostSpans];
  std::size_t count;
};

struct WindowPlan {
  WeightShape shape;
  ConvolutionGeometry geometry;  // a product of matrices or a 1×1 convolution has one row for each pixel
  WindowSource source;
  bool rows_are_runs;            // whether a tap is a row of the kernel
  std::size_t rows, width;       // output rows of all images, pixels of a row
  std::size_t tap_count;         // of a whole window
  std::size_t tap_dwords;
  std::size_t group_bytes;       // from the window of a group to that of the next; 0: read one group at a time
  std::size_t pixel_bytes;       // between neighbouring pixels of what is read
  std::size_t row_bytes;         // between its rows
  bool zoned;                    // whether windows leave the input
  Spans vertical, horizontal;    // zones are their products; one of each unless zoned

  std::size_t zones() const { return vertical.count * horizontal.count; }
};

WindowPlan plan_windows(const WeightShape& shape, const ConvolutionGeometry& geometry) noexcept;

// The part of the kernel that the pixels of a zone see.
struct ZoneTaps {
  std::size_t first_row, end_row, first_column, end_column;
  std::size_t taps, tap_dwords;
};

ZoneTaps zone_taps(const WindowPlan& plan, std::size_t zone) noexcept;

// Writes the taps of a zone, at most plan.tap_count.
void fill_taps(const WindowPlan& plan, std::size_t zone, DotTap* taps) noexcept;

// Scratch for `rows` output rows.
std::size_t window_bytes(const WindowPlan& plan, std::size_t rows) noexcept;

// The windows of some output rows, zone by zone.
struct Windows {
  const std::uint8_t** first_bytes;  // [count · width]
  std::uint32_t* pixels;             // which pixel of the rows each is; untouched unless zoned: all in order
  std::size_t* ends;                 // [zones] where the windows of each zone end
};

// Finds the windows of `count` output rows from `first` on, for `group` if the plan is of one group at a time, else for the first
// group. `buffer` has window_bytes(plan, count).
void locate_windows(const WindowPlan& plan, const ConvolutionInput& input, std::size_t group, std::size_t first, std::size_t count,
                    std::uint8_t* buffer, const Windows& windows) noexcept;

}  // namespace tritforge
