#include "convolution/dot_convolution.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "convolution/windows.h"

namespace tritforge {
namespace {

constexpr std::size_t kStripOutputs = 16;
constexpr std::size_t kAlignment = 64;
// Copied windows of a block stay in the second-level cache beside a panel.
constexpr std::size_t kBlockCopyBytes = std::size_t{256} << 10;
constexpr std::size_t kBlockPixels = 2048;
// Bytes of a matrix product's depth above which it is cut in passes, so that a panel's slice stays in the second-level cache.
constexpr std::size_t kMostDepth = 8192, kPassBytes = 6144;
// Items for each thread, so that they end together.
constexpr std::size_t kItemsPerThread = 4;
constexpr std::size_t kFewestPixels = 48;

std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// Hands out aligned pieces of scratch; without memory it only counts.
class Arena {
 public:
  explicit Arena(std::uint8_t* memory) : memory_(memory) {}
  template <class T>
  T* take(std::size_t count) {
    T* const piece = memory_ == nullptr ? nullptr : reinterpret_cast<T*>(memory_ + used_);
    used_ += divide_up(count * sizeof(T), kAlignment) * kAlignment;
    return piece;
  }
  std::size_t used() const { return used_; }

 private:
  std::uint8_t* memory_;
  std::size_t used_ = 0;
};

struct Plan {
  WindowPlan windows;
  std::size_t group_outputs, strips;    // of one group
  std::size_t panel_strips, panels;     // of a panel; of one group
  std::size_t block_rows, blocks;       // output rows of a block of pixels
  std::size_t chunks;                   // of panels of all groups; an item is a block and a chunk
  std::size_t pass_dwords, passes;      // over parts of the depth, connected by partial sums
  std::size_t workers;

  std::size_t all_panels() const { return panels * windows.shape.groups; }
  std::size_t padded_outputs() const { return windows.shape.groups * strips * kStripOutputs; }
  std::size_t block_pixels() const { return block_rows * windows.width; }
};

void plan_passes(const DotLayout& layout, Plan* p) {
  const WindowPlan& w = p->windows;
  const bool cuts = layout.dword_bytes != 0 && w.tap_count == 1 && !w.zoned && w.tap_dwords * 4 > kMostDepth;
  const std::size_t passes = cuts ? divide_up(w.tap_dwords * 4, kPassBytes) : 1;
  p->pass_dwords = divide_up(w.tap_dwords, passes);
  p->passes = divide_up(w.tap_dwords, p->pass_dwords);
}

std::size_t rows_of_copies(const WindowPlan& w) {
  std::size_t rows = 1;
  while (rows < w.rows && window_bytes(w, rows + 1) <= kBlockCopyBytes) ++rows;
  return rows;
}

// Rows first, until blocks are small; then panels.
void plan_items(std::size_t threads, Plan* p) {
  const WindowPlan& w = p->windows;
  const std::size_t wanted = threads == 1 ? 1 : threads * kItemsPerThread;
  std::size_t rows = std::clamp<std::size_t>(kBlockPixels / w.width, 1, w.rows);
  if (w.source != WindowSource::input) rows = std::min(rows, rows_of_copies(w));
  const bool panels_suffice = p->all_panels() >= wanted;
  if (threads > 1 && !panels_suffice) {
    rows = std::min(rows, std::max(divide_up(w.rows, wanted), divide_up(kFewestPixels, w.width)));
  }
  p->blocks = divide_up(w.rows, rows);
  p->block_rows = divide_up(w.rows, p->blocks);
  p->blocks = divide_up(w.rows, p->block_rows);
  p->chunks = std::min(p->all_panels(), divide_up(wanted, p->blocks));
  p->workers = std::min(threads, p->blocks * p->chunks);
}

Plan make_plan(const DotLayout& layout, const DotMicrokernel& kernel, const PackedWeights& weights,
               const ConvolutionGeometry& geometry, std::size_t threads) {
  Plan p{};
  p.windows = plan_windows(weights.shape, geometry);
  p.group_outputs = weights.shape.output_channels / weights.shape.groups;
  p.strips = divide_up(p.group_outputs, kStripOutputs);
  p.panel_strips = std::min(kernel.most_strips, p.strips);
  p.panels = divide_up(p.strips, p.panel_strips);
  plan_passes(layout, &p);
  plan_items(std::max<std::size_t>(threads, 1), &p);
  return p;
}

// Memory of one worker.
struct Workspace {
  Windows windows;
  std::uint8_t* copies;
  std::int32_t* partial;
};

// Memory that all workers read.
struct Shared {
  DotTap* taps;         // [zones][taps of the kernel]
  std::int32_t* start;  // [zones][padded outputs]; the same for all zones if the zero point is 0
  float* multiplier;    // [padded outputs]
};

Shared take_shared(const Plan& p, Arena* arena) {
  Shared s{};
  s.taps = arena->take<DotTap>(p.windows.zones() * p.windows.tap_count);
  s.start = arena->take<std::int32_t>(p.windows.zones() * p.padded_outputs());
  s.multiplier = arena->take<float>(p.padded_outputs());
  return s;
}

Workspace take_workspace(const Plan& p, Arena* arena) {
  Workspace w{};
  w.windows.first_bytes = arena->take<const std::uint8_t*>(p.block_pixels());
  w.windows.pixels = arena->take<std::uint32_t>(p.windows.zoned ? p.block_pixels() : 0);
  w.windows.ends = arena->take<std::size_t>(p.windows.zones());
  w.copies = arena->take<std::uint8_t>(window_bytes(p.windows, p.block_rows));
  w.partial = arena->take<std::int32_t>(p.passes > 1 ? p.block_pixels() * p.panel_strips * kStripOutputs : 0);
  return w;
}

// Everything that a call is about.
struct Call {
  Plan plan;
  DotLayout layout;
  const DotMicrokernel* kernel;
  const PackedWeights* weights;
  const ConvolutionInput* input;
  PreparedStage stage;
  const std::uint8_t* residual;
  void* output;
  std::size_t strip_bytes;
  Shared shared;
  Arena* arena;
  std::atomic<std::size_t> next_item;
};

// a + b·c modulo 2^32: sums of weights that a damaged block holds may be any.
std::int32_t wrapping_sum(std::int32_t a, std::int32_t b, std::int32_t c) {
  return static_cast<std::int32_t>(static_cast<std::uint32_t>(a) + static_cast<std::uint32_t>(b) * static_cast<std::uint32_t>(c));
}

// Sums of a whole window start from the bias and from what a zero point in place of 0 adds to each product; channels are padded to
// whole strips.
void fill_outputs(const Call& c, const OutputStage& stage) {
  const Plan& p = c.plan;
  for (std::size_t g = 0; g < p.windows.shape.groups; ++g) {
    const std::size_t from = g * p.group_outputs, to = g * p.strips * kStripOutputs, end = to + p.strips * kStripOutputs;
    for (std::size_t o = 0; o < p.group_outputs; ++o) {
      const std::int32_t bias = stage.bias == nullptr ? 0 : stage.bias[from + o];
      c.shared.start[to + o] = wrapping_sum(bias, -c.input->zero_point, c.weights->column_sums[from + o]);
    }
    std::fill(c.shared.start + to + p.group_outputs, c.shared.start + end, 0);
    if (stage.kind == OutputKind::s32) continue;
    std::memcpy(c.shared.multiplier + to, stage.multiplier + from, p.group_outputs * sizeof(float));
    std::fill(c.shared.multiplier + to + p.group_outputs, c.shared.multiplier + end, 0.0f);
  }
}

// Takes back what was subtracted for the taps that a zone leaves out. `whole` and `start` may be the same memory.
void fill_zone_start(const Call& c, std::size_t zone, const std::int32_t* whole, std::int32_t* start) {
  const std::size_t outputs = c.plan.padded_outputs();
  const WeightShape& s = c.plan.windows.shape;
  const ZoneTaps z = zone_taps(c.plan.windows, zone);
  std::memmove(start, whole, outputs * sizeof(std::int32_t));
  for (std::size_t ky = 0; ky < s.kernel_height; ++ky) {
    for (std::size_t kx = 0; kx < s.kernel_width; ++kx) {
      const bool seen = ky >= z.first_row && ky < z.end_row && kx >= z.first_column && kx < z.end_column;
      if (seen) continue;
      const std::int32_t* const sums = c.layout.tap_sums(*c.weights) + (ky * s.kernel_width + kx) * outputs;
      for (std::size_t o = 0; o < outputs; ++o) start[o] = wrapping_sum(start[o], c.input->zero_point, sums[o]);
    }
  }
}

std::size_t start_step(const Call& c) { return c.input->zero_point == 0 ? 0 : c.plan.padded_outputs(); }

void fill_shared(const Call& c, const OutputStage& stage) {
  const WindowPlan& w = c.plan.windows;
  fill_outputs(c, stage);
  for (std::size_t zone = w.zones(); zone-- > 0;) {
    fill_taps(w, zone, c.shared.taps + zone * w.tap_count);
    // The whole window's is in the place of the first zone, which comes last.
    if (w.zoned && start_step(c) > 0) fill_zone_start(c, zone, c.shared.start, c.shared.start + zone * start_step(c));
  }
}

OutputTile output_of(const Call& c, std::size_t pixel, std::size_t group, std::size_t first_strip, std::size_t strips) {
  const Plan& p = c.plan;
  const std::size_t first = first_strip * kStripOutputs, row = p.windows.shape.output_channels;
  const OutputTile whole{&c.stage, c.shared.multiplier + group * p.strips * kStripOutputs + first, c.residual, c.output, row, row};
  OutputTile tile = advance(whole, pixel, group * p.group_outputs + first);
  tile.multiplier = whole.multiplier;
  tile.channels = std::min(p.group_outputs - first, strips * kStripOutputs);
  return tile;
}

// One panel, at the pixels of one zone. The panel after it follows in memory; with `prefetches` it is brought near.
void run_zone(const Call& c, const Workspace& workspace, std::size_t pixel, std::size_t panel, std::size_t zone, bool prefetches) {
  const Plan& p = c.plan;
  const WindowPlan& w = p.windows;
  const std::size_t begin = zone == 0 ? 0 : workspace.windows.ends[zone - 1], end = workspace.windows.ends[zone];
  if (begin == end) return;
  const std::size_t group = panel / p.panels, first = panel % p.panels * p.panel_strips;
  const std::size_t strips = std::min(p.panel_strips, p.strips - first), strip = group * p.strips + first;
  const ZoneTaps taps = zone_taps(w, zone);
  DotBlock block{};
  block.rows = workspace.windows.first_bytes + begin;
  block.row_count = end - begin;
  block.row_offset = group * w.group_bytes;
  block.taps = c.shared.taps + zone * w.tap_count;
  block.tap_count = taps.taps;
  block.tap_dwords = taps.tap_dwords;
  block.weights = c.weights->payload + strip * c.strip_bytes;
  block.strip_bytes = c.strip_bytes;
  block.strips = strips;
  block.start = c.shared.start + zone * start_step(c) + strip * kStripOutputs;
  block.finishes = true;
  block.out = output_of(c, pixel, group, first, strips);
  if (w.zoned) block.out.rows = workspace.windows.pixels + begin;
  if (prefetches && p.passes == 1) {
    block.next = block.weights + strips * c.strip_bytes;
    block.next_bytes = strips * c.strip_bytes;
  }
  if (p.passes == 1) return c.kernel->run(block);
  block.partial = workspace.partial;
  for (std::size_t i = 0; i < p.passes; ++i) {
    block.tap_dwords = std::min(p.pass_dwords, w.tap_dwords - i * p.pass_dwords);
    block.finishes = i + 1 == p.passes;
    c.kernel->run(block);
    block.start = nullptr;
    block.row_offset += p.pass_dwords * 4;
    block.weights += p.pass_dwords * c.layout.dword_bytes;
  }
}

std::size_t largest_zone(const Plan& p, const Windows& windows) {
  std::size_t largest = 0, most = windows.ends[0];
  for (std::size_t zone = 1; zone < p.windows.zones(); ++zone) {
    const std::size_t count = windows.ends[zone] - windows.ends[zone - 1];
    if (count > most) largest = zone, most = count;
  }
  return largest;
}

// The largest zone brings the panel into the cache: it has the most to compute meanwhile.
void run_panel(const Call& c, const Workspace& workspace, std::size_t pixel, std::size_t panel, bool is_last) {
  const std::size_t largest = largest_zone(c.plan, workspace.windows);
  run_zone(c, workspace, pixel, panel, largest, !is_last);
  for (std::size_t zone = 0; zone < c.plan.windows.zones(); ++zone) {
    if (zone != largest) run_zone(c, workspace, pixel, panel, zone, false);
  }
}

// Windows are kept from item to item as long as they are the same.
struct Located {
  std::size_t block, group;
};
constexpr std::size_t kNowhere = ~std::size_t{0};

void run_item(const Call& c, const Workspace& workspace, std::size_t item, Located* located) {
  const Plan& p = c.plan;
  const std::size_t block = item / p.chunks, chunk = item % p.chunks;
  const std::size_t row = block * p.block_rows, rows = std::min(p.block_rows, p.windows.rows - row);
  const std::size_t begin = chunk * p.all_panels() / p.chunks, end = (chunk + 1) * p.all_panels() / p.chunks;
  for (std::size_t panel = begin; panel < end; ++panel) {
    const std::size_t group = p.windows.source == WindowSource::gathered ? panel / p.panels : 0;
    if (located->block != block || located->group != group) {
      locate_windows(p.windows, *c.input, group, row, rows, workspace.copies, workspace.windows);
      *located = {block, group};
    }
    run_panel(c, workspace, row * p.windows.width, panel, panel + 1 == end);
  }
}

// One of `workers` tasks: takes items until there are none.
void work(void* context, std::size_t worker) noexcept {
  Call& c = *static_cast<Call*>(context);
  Arena arena = *c.arena;
  Workspace workspace{};
  for (std::size_t i = 0; i <= worker; ++i) workspace = take_workspace(c.plan, &arena);
  Located located{kNowhere, kNowhere};
  const std::size_t items = c.plan.blocks * c.plan.chunks;
  for (std::size_t item = c.next_item++; item < items; item = c.next_item++) run_item(c, workspace, item, &located);
}

}  // namespace

std::size_t dot_scratch_bytes(const DotLayout& layout, const DotMicrokernel& kernel, const PackedWeights& weights,
                              const ConvolutionGeometry& geometry, std::size_t threads) noexcept {
  const Plan plan = make_plan(layout, kernel, weights, geometry, threads);
  Arena arena(nullptr);
  take_shared(plan, &arena);
  for (std::size_t i = 0; i < plan.workers; ++i) take_workspace(plan, &arena);
  return arena.used();
}

Status run_dot_convolution(const DotLayout& layout, const DotMicrokernel& kernel, const PackedWeights& weights,
                           const ConvolutionGeometry& geometry, const ConvolutionInput& input, const OutputStage& stage,
                           void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept {
  Arena arena(scratch);
  Call call{make_plan(layout, kernel, weights, geometry, parallel.threads), layout, &kernel, &weights, &input, prepare_stage(stage, weights.shape.output_channels),
            stage.kind == OutputKind::u8 ? stage.residual.values : nullptr, output, layout.strip_bytes(weights), {}, &arena, {}};
  call.shared = take_shared(call.plan, &arena);
  fill_shared(call, stage);
  parallel_for(parallel, call.plan.workers, work, &call);
  return Status::ok;
}

}  // namespace tritforge
