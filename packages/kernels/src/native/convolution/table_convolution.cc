#include "convolution/table_convolution.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "convolution/scratch_arena.h"

namespace tritforge {
namespace {

// Tables of a block of output pixels, which stay in the second-level cache.
constexpr std::size_t kBlockTableBytes = std::size_t{400} << 10;
constexpr std::size_t kPointwiseBlockPixels = 126;
// Tables of a group of outputs, which share the first-level cache with a panel of weights; tiles are of three pixels.
constexpr std::size_t kGroupTableBytes = 17 * 1024;
constexpr std::size_t kTilePixels = 3;
// Weights of one block that stay in the second-level cache.
constexpr std::size_t kPointwiseOutputs = 2048;
constexpr std::size_t kFewestPointwisePixels = 24;
// Outputs in a row of a block, at least.
constexpr std::size_t kFewestWindows = 6;
constexpr std::size_t kAddends = 16;
constexpr std::size_t kBuildPixels = 32;
constexpr std::size_t kItemsPerThread = 4;

std::size_t divide_up(std::size_t a, std::size_t b) { return (a + b - 1) / b; }

// Input rows, or columns, that a run of outputs reads: each a slot that has its tables once. Slots are the inputs between
// the first and the last, or, where most of those would be skipped, each output has slots of its own.
struct Axis {
  std::size_t stride, dilation, kernel, pad, extent;
  bool is_gathered;

  std::size_t spanned(std::size_t outputs) const { return (outputs - 1) * stride + (kernel - 1) * dilation + 1; }
  std::size_t slots(std::size_t outputs) const { return is_gathered ? outputs * kernel : spanned(outputs); }
  std::size_t output_step() const { return is_gathered ? kernel : stride; }
  std::size_t tap_step() const { return is_gathered ? 1 : dilation; }
  // Position in the input, or `extent` outside of it.
  std::size_t input(std::size_t first_output, std::size_t slot) const {
    const std::size_t padded = is_gathered ? (first_output + slot / kernel) * stride + slot % kernel * dilation
                                           : first_output * stride + slot;
    return padded < pad ? extent : std::min(padded - pad, extent);
  }
};

struct Plan {
  WeightShape shape;
  ConvolutionGeometry geometry;
  std::size_t output_height, output_width;
  Axis y, x;
  bool is_pointwise;
  std::size_t taps, panels, panel_outputs;
  std::size_t weight_blocks, table_bytes;    // table_bytes: the most that a pixel has in one block
  std::size_t block_height, block_width;     // outputs of a block; of a 1×1 kernel all pixels are one row
  std::size_t blocks_down, blocks_across, images;
  std::size_t group_pixels;                  // outputs whose tables exist at once
  std::size_t chunk_panels, chunks;          // an item is a block of pixels and a chunk of panels
  std::size_t workers;

  std::size_t items() const { return images * blocks_down * blocks_across * chunks; }
  std::size_t block_pixels() const { return block_height * block_width; }
  std::size_t slots() const { return is_pointwise ? group_pixels : y.slots(block_height) * x.slots(block_width); }
};

void plan_pointwise(std::size_t threads, Plan* p) {
  const std::size_t pixels = p->geometry.batch * p->output_height * p->output_width, panels = p->panels;
  const std::size_t wanted = threads == 1 ? 1 : threads * kItemsPerThread;
  p->images = p->blocks_down = p->block_height = 1;
  std::size_t width = std::min(pixels, kPointwiseBlockPixels);
  if (threads > 1) width = std::min(width, std::max(divide_up(pixels, wanted), kFewestPointwisePixels));
  p->blocks_across = divide_up(pixels, std::max<std::size_t>(width, 1));
  p->block_width = divide_up(pixels, p->blocks_across);
  p->blocks_across = divide_up(pixels, p->block_width);
  const std::size_t tiles = std::max<std::size_t>(kGroupTableBytes / p->table_bytes / kTilePixels, 1);
  p->group_pixels = std::min(p->block_width, tiles * kTilePixels);
  const std::size_t most_panels = std::max<std::size_t>(kPointwiseOutputs / p->panel_outputs, 1);
  p->chunks = std::max(divide_up(panels, most_panels), std::min(panels, divide_up(wanted, p->blocks_across)));
}

void plan_windows(std::size_t threads, Plan* p) {
  const std::size_t wanted = threads == 1 ? 1 : threads * kItemsPerThread;
  std::size_t height = p->output_height, width = p->output_width;
  const auto bytes = [&] { return p->y.slots(height) * p->x.slots(width) * p->table_bytes; };
  while (height > 1 && bytes() > kBlockTableBytes) --height;
  while (width > kFewestWindows && bytes() > kBlockTableBytes) --width;
  p->images = p->geometry.batch;
  p->blocks_down = divide_up(p->output_height, height);
  p->blocks_across = divide_up(p->output_width, width);
  p->block_height = divide_up(p->output_height, p->blocks_down);
  p->block_width = divide_up(p->output_width, p->blocks_across);
  p->blocks_down = divide_up(p->output_height, p->block_height);
  p->blocks_across = divide_up(p->output_width, p->block_width);
  p->group_pixels = p->block_pixels();
  p->chunks = std::min(p->panels, divide_up(wanted, p->images * p->blocks_down * p->blocks_across));
}

Axis axis_of(std::size_t stride, std::size_t dilation, std::size_t kernel, std::size_t pad, std::size_t extent) {
  Axis axis{stride, dilation, kernel, pad, extent, false};
  axis.is_gathered = kernel < stride || (kernel > 1 && dilation > 2);
  return axis;
}

Plan make_plan(const TableLayout& layout, const PackedWeights& weights, const ConvolutionGeometry& g, std::size_t threads) {
  Plan p{};
  const WeightShape& s = weights.shape;
  p.shape = s;
  p.geometry = g;
  p.output_height = output_height(g, s);
  p.output_width = output_width(g, s);
  p.y = axis_of(g.stride_height, g.dilation_height, s.kernel_height, g.pad_top, g.height);
  p.x = axis_of(g.stride_width, g.dilation_width, s.kernel_width, g.pad_left, g.width);
  p.taps = tap_count(s);
  p.is_pointwise = p.taps == 1;
  p.panel_outputs = layout.panel_outputs;
  p.panels = divide_up(s.output_channels, layout.panel_outputs);
  p.weight_blocks = layout.block_count(weights);
  for (std::size_t i = 0; i < p.weight_blocks; ++i) {
    const TableBlock block = layout.block(weights, i);
    p.table_bytes = std::max(p.table_bytes, block.units * block.table_bytes);
  }
  const std::size_t at_once = std::max<std::size_t>(threads, 1);
  p.is_pointwise ? plan_pointwise(at_once, &p) : plan_windows(at_once, &p);
  p.chunk_panels = divide_up(p.panels, p.chunks);
  p.chunks = divide_up(p.panels, p.chunk_panels);
  p.workers = std::min(at_once, p.items());
  return p;
}

// Memory that all workers read.
struct Shared {
  std::int32_t* start;
  float* multiplier;
  std::uint8_t* zero_pixel;
  std::uint8_t* addends;
};

Shared take_shared(const Plan& p, ScratchArena* arena) {
  Shared s{};
  s.start = arena->take<std::int32_t>(p.panels * p.panel_outputs);
  s.multiplier = arena->take<float>(p.panels * p.panel_outputs);
  s.zero_pixel = arena->take<std::uint8_t>(p.shape.depth);
  s.addends = arena->take<std::uint8_t>(kAddends);
  return s;
}

// Memory of one worker.
struct Workspace {
  std::uint8_t* tables;
  const std::uint8_t** windows;  // of each output pixel of a group, the tables under its first tap
  std::ptrdiff_t* offsets;       // from there to the tables of each step
  std::int32_t* sums;
};

Workspace take_workspace(const Plan& p, std::size_t most_units, ScratchArena* arena) {
  Workspace w{};
  w.tables = arena->take<std::uint8_t>(p.slots() * p.table_bytes);
  w.windows = arena->take<const std::uint8_t*>(p.group_pixels);
  w.offsets = arena->take<std::ptrdiff_t>(most_units * p.taps + 1);
  w.sums = arena->take<std::int32_t>(p.weight_blocks > 1 ? p.block_pixels() * p.chunk_panels * p.panel_outputs : 0);
  return w;
}

std::size_t most_units(const TableLayout& layout, const PackedWeights& weights) {
  std::size_t most = 1;
  for (std::size_t i = 0; i < layout.block_count(weights); ++i) most = std::max(most, layout.block(weights, i).units);
  return most;
}

// Everything that a call is about.
struct Call {
  Plan plan;
  TableLayout layout;
  const TableMicrokernels* kernels;
  const PackedWeights* weights;
  const ConvolutionInput* input;
  PreparedStage stage;
  const std::uint8_t* residual;
  void* output;
  Shared shared;
  std::uint8_t* workspaces;
  std::size_t workspace_bytes;
  std::atomic<std::size_t> next_worker, next_item;
};

// Sums start from the bias, from what a zero point in place of 0 adds, and from what unsigned tables add.
void fill_shared(const Call& c, const OutputStage& stage) {
  const std::size_t outputs = c.plan.shape.output_channels, padded = c.plan.panels * c.plan.panel_outputs;
  const auto* sign_offsets = reinterpret_cast<const std::int32_t*>(c.weights->payload);
  for (std::size_t oc = 0; oc < outputs; ++oc) {
    const std::uint32_t bias = stage.bias == nullptr ? 0 : static_cast<std::uint32_t>(stage.bias[oc]);
    const std::uint32_t shift = c.input->zero_point * static_cast<std::uint32_t>(c.weights->column_sums[oc]);
    c.shared.start[oc] = static_cast<std::int32_t>(bias - shift - static_cast<std::uint32_t>(sign_offsets[oc]));
  }
  std::fill(c.shared.start + outputs, c.shared.start + padded, 0);
  std::fill(c.shared.multiplier, c.shared.multiplier + padded, 0.0f);
  if (stage.kind != OutputKind::s32) std::memcpy(c.shared.multiplier, stage.multiplier, outputs * sizeof(float));
  if (c.layout.fill_addends != nullptr) c.layout.fill_addends(c.weights->levels, c.shared.addends);
  std::memset(c.shared.zero_pixel, c.input->zero_point, c.plan.shape.depth);
}

// A block of output pixels of one image and a chunk of panels. Of a 1×1 kernel pixels are numbered through all images.
struct Item {
  std::size_t image, first_y, first_x, height, width, first_panel, panels;
};

Item item_of(const Plan& p, std::size_t index) {
  Item item{};
  item.first_x = index % p.blocks_across * p.block_width;
  index /= p.blocks_across;
  item.first_y = index % p.blocks_down * p.block_height;
  index /= p.blocks_down;
  item.image = index % p.images;
  item.first_panel = index / p.images * p.chunk_panels;
  const std::size_t all = p.geometry.batch * p.output_height * p.output_width;
  item.height = p.is_pointwise ? 1 : std::min(p.block_height, p.output_height - item.first_y);
  item.width = std::min(p.block_width, (p.is_pointwise ? all : p.output_width) - item.first_x);
  item.panels = std::min(p.chunk_panels, p.panels - item.first_panel);
  return item;
}

// Walks through the input pixels of neighbouring slots.
class SlotInputs {
 public:
  SlotInputs(const Call& c, const Item& item, std::size_t first_pixel) : c_(c), p_(c.plan), item_(item) {
    if (p_.is_pointwise) {
      const std::size_t pixel = item.first_x + first_pixel, row = pixel / p_.output_width;
      x_ = pixel % p_.output_width;
      y_ = row % p_.output_height;
      image_ = row / p_.output_height;
      columns_ = p_.output_width;
      rows_ = p_.output_height;
    } else {
      x_ = y_ = 0;
      image_ = item.image;
      columns_ = p_.x.slots(p_.block_width);
      rows_ = p_.y.slots(p_.block_height);
    }
    begin_row();
  }

  const std::uint8_t* next() {
    const std::size_t x = p_.is_pointwise ? p_.x.input(x_, 0) : p_.x.input(item_.first_x, x_);
    const bool is_outside = row_ == nullptr || x >= p_.geometry.width;
    const std::uint8_t* const pixel = is_outside ? c_.shared.zero_pixel : row_ + x * p_.shape.depth;
    if (++x_ == columns_) {
      x_ = 0;
      if (++y_ == rows_) y_ = 0, ++image_;
      begin_row();
    }
    return pixel;
  }

 private:
  void begin_row() {
    const std::size_t y = p_.is_pointwise ? p_.y.input(y_, 0) : p_.y.input(item_.first_y, y_), height = p_.geometry.height;
    const std::size_t row_bytes = p_.geometry.width * p_.shape.depth;
    row_ = y >= height ? nullptr : c_.input->values + (image_ * height + y) * row_bytes;
  }

  const Call& c_;
  const Plan& p_;
  const Item& item_;
  std::size_t image_, y_, x_, rows_, columns_;
  const std::uint8_t* row_;  // null outside of the image
};

// Neighbouring output pixels of an item whose tables exist at once, and the block of weights that meets them.
struct Group {
  std::size_t first, pixels;
  TableBlock block;
  bool is_first_block, is_last_block;

  std::size_t pixel_bytes() const { return block.units * block.table_bytes; }
};

void build_tables(const Call& c, const Item& item, const Group& group, std::size_t slots, std::uint8_t* tables) {
  const TableBlock& block = group.block;
  const std::size_t last_first = block.first_input + (block.units - 1) * block.unit_inputs;
  const std::size_t last_inputs = std::min(c.plan.shape.depth - last_first, block.unit_inputs);
  SlotInputs slot_inputs(c, item, group.first);
  for (std::size_t done = 0; done < slots; done += kBuildPixels) {
    const std::uint8_t* inputs[kBuildPixels];
    const std::size_t count = std::min(kBuildPixels, slots - done);
    for (std::size_t i = 0; i < count; ++i) inputs[i] = slot_inputs.next() + block.first_input;
    std::uint8_t* const to = tables + done * group.pixel_bytes();
    c.kernels->build(block.unit, {inputs, count, block.units, last_inputs, c.shared.addends, to});
  }
}

// Bytes from a pixel's tables at its first tap to those of each step.
void fill_offsets(const Plan& p, const TableBlock& block, std::ptrdiff_t* offsets) {
  const std::size_t stride = block.units * block.table_bytes, columns = p.is_pointwise ? 0 : p.x.slots(p.block_width);
  for (std::size_t unit = 0; unit < block.units; ++unit) {
    for (std::size_t tap = 0; tap < p.taps; ++tap) {
      const std::size_t row = tap / p.shape.kernel_width * p.y.tap_step();
      const std::size_t column = tap % p.shape.kernel_width * p.x.tap_step();
      *offsets++ = static_cast<std::ptrdiff_t>((row * columns + column) * stride + unit * block.table_bytes);
    }
  }
  *offsets = 0;
}

void locate_windows(const Plan& p, const Item& item, const Group& group, const Workspace& w) {
  const std::size_t stride = group.pixel_bytes(), width = p.is_pointwise ? group.pixels : item.width;
  const std::size_t row_step = p.is_pointwise ? 0 : p.y.output_step() * p.x.slots(p.block_width) * stride;
  const std::size_t step = (p.is_pointwise ? 1 : p.x.output_step()) * stride;
  for (std::size_t i = 0, x = 0, row = 0; i < group.pixels; ++i) {
    w.windows[i] = w.tables + row + x * step;
    if (++x == width) x = 0, row += row_step;
  }
}

OutputTile output_of(const Call& c, const Item& item, std::size_t first_pixel) {
  const Plan& p = c.plan;
  const std::size_t row = p.shape.output_channels, channel = item.first_panel * p.panel_outputs;
  const std::size_t index = p.is_pointwise ? item.first_x + first_pixel
                                           : (item.image * p.output_height + item.first_y) * p.output_width + item.first_x;
  OutputTile out = advance({&c.stage, c.shared.multiplier, c.residual, c.output, row, row}, index, channel);
  out.multiplier = c.shared.multiplier + channel;
  return out;
}

void compute_group(const Call& c, const Item& item, const Group& group, const Workspace& w) {
  const Plan& p = c.plan;
  build_tables(c, item, group, p.is_pointwise ? group.pixels : p.y.slots(item.height) * p.x.slots(p.block_width), w.tables);
  locate_windows(p, item, group, w);
  // Rows of outputs continue each other where a block is as wide as the image.
  const bool is_one_run = p.is_pointwise || p.blocks_across == 1;
  const TableBlock& block = group.block;
  const std::uint8_t* const indices = c.weights->payload + block.offset + item.first_panel * block.panel_bytes;
  const std::int32_t* const start = c.shared.start + item.first_panel * p.panel_outputs;
  std::int32_t* const sums = w.sums + group.first * item.panels * p.panel_outputs;
  c.kernels->look_up(block.unit, {w.windows, group.pixels, is_one_run ? group.pixels : item.width, p.output_width, w.offsets,
                                  block.units * p.taps, indices, item.panels, group.is_first_block ? start : nullptr, sums,
                                  group.is_last_block, output_of(c, item, group.first)});
}

void compute_item(const Call& c, const Item& item, const Workspace& w) {
  const Plan& p = c.plan;
  const std::size_t pixels = item.height * item.width, groups = divide_up(pixels, p.group_pixels);
  for (std::size_t b = 0; b < p.weight_blocks; ++b) {
    Group group{0, 0, c.layout.block(*c.weights, b), b == 0, b + 1 == p.weight_blocks};
    fill_offsets(p, group.block, w.offsets);
    for (std::size_t g = 0; g < groups; ++g) {
      group.first = pixels * g / groups;
      group.pixels = pixels * (g + 1) / groups - group.first;
      compute_group(c, item, group, w);
    }
  }
}

void work(void* context, std::size_t) noexcept {
  Call& c = *static_cast<Call*>(context);
  ScratchArena arena(c.workspaces + c.next_worker++ * c.workspace_bytes);
  const Workspace w = take_workspace(c.plan, most_units(c.layout, *c.weights), &arena);
  for (std::size_t i = c.next_item++; i < c.plan.items(); i = c.next_item++) compute_item(c, item_of(c.plan, i), w);
}

std::size_t workspace_bytes(const TableLayout& layout, const PackedWeights& weights, const Plan& plan) {
  ScratchArena arena(nullptr);
  take_workspace(plan, most_units(layout, weights), &arena);
  return arena.used();
}

}  // namespace

std::size_t table_scratch_bytes(const TableLayout& layout, const PackedWeights& weights, const ConvolutionGeometry& geometry,
                                std::size_t threads) noexcept {
  const Plan plan = make_plan(layout, weights, geometry, threads);
  ScratchArena arena(nullptr);
  take_shared(plan, &arena);
  return arena.used() + plan.workers * workspace_bytes(layout, weights, plan);
}

Status run_table_convolution(const TableLayout& layout, const TableMicrokernels& kernels, const PackedWeights& weights,
                             const ConvolutionGeometry& geometry, const ConvolutionInput& input, const OutputStage& stage,
                             void* output, std::uint8_t* scratch, const Parallel& parallel) noexcept {
  if (input.max_code > layout.max_code || input.zero_point > layout.max_code) return Status::unsupported;
  Call c{};
  c.plan = make_plan(layout, weights, geometry, parallel.threads);
  c.layout = layout;
  c.kernels = &kernels;
  c.weights = &weights;
  c.input = &input;
  c.stage = prepare_stage(stage);
  c.residual = c.stage.adds ? stage.residual.values : nullptr;
  c.output = output;
  ScratchArena arena(scratch);
  c.shared = take_shared(c.plan, &arena);
  c.workspaces = scratch + arena.used();
  c.workspace_bytes = workspace_bytes(layout, weights, c.plan);
  fill_shared(c, stage);
  parallel_for(parallel, c.plan.workers, work, &c);
  return Status::ok;
}

}  // namespace tritforge
