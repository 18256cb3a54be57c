#include "gemv/panels.h"

#include <cstring>

namespace tritforge {
namespace {

// Work below which other threads are not worth waking, in bytes of weights times tiles of rows.
constexpr std::size_t kSerialBytes = 256 << 10;
// More tasks than threads, so that one that is interrupted does not hold up all.
constexpr std::size_t kTasksPerThread = 4;

struct Split {
  const GemvProduct& product;
  std::size_t panels, row_stride, correction_stride, row_tiles, tasks;
};

void multiply_panel(const Split& split, std::size_t panel) {
  const GemvProduct& p = split.product;
  const GemvPlan& plan = *p.plan;
  const std::size_t blocks = panel_blocks(plan, panel), first = panel * kGemvPanel;
  const std::size_t outputs = plan.outputs - first < kGemvPanel ? plan.outputs - first : kGemvPanel;
  alignas(64) std::int32_t sums[kGemvMaxTileRows * kGemvPanel];
  GemvTile tile{p.payload + panel_offset(plan, panel), plan.main, plan.tail, p.arranged, split.row_stride, p.corrections,
                split.correction_stride, sums};
  std::size_t row = 0;
  for (std::size_t left = split.row_tiles; left > 0; --left) {
    const std::size_t rows = left == 1 ? p.rows - row : (p.rows - row + left - 1) / left;
    p.method->tile[rows - 1][blocks - 1](tile);
    for (std::size_t i = 0; i < rows; ++i) p.finish(p.context, sums + i * kGemvPanel, row + i, first, outputs);
    row += rows;
    tile.rows += rows * split.row_stride;
    tile.corrections += rows * split.correction_stride;
  }
}

void multiply_some(void* context, std::size_t task) noexcept {
  const Split& split = *static_cast<const Split*>(context);
  const std::size_t end = split.panels * (task + 1) / split.tasks;
  for (std::size_t panel = split.panels * task / split.tasks; panel < end; ++panel) multiply_panel(split, panel);
}

// Puts activations that lie in the order of the inputs in that of the streams.
void arrange(const GemvPlan& plan, const std::int8_t* inputs, std::int8_t* arranged) {
  for (std::size_t quad = 0; quad < plan_quads(plan); ++quad) {
    const std::size_t length = 4 * quad_steps(plan, quad);
    for (std::size_t stream = 0; stream < kGemvStreams; ++stream, arranged += length) {
      const InputRange range = stream_inputs(plan, quad, stream);
      const std::size_t count = range.end - range.begin;
      std::memcpy(arranged, inputs + range.begin, count);
      std::memset(arranged + count, 0, length - count);
    }
  }
}

}  // namespace

bool keeps_order(const GemvPlan& plan) noexcept {
  const bool in_main = plan.segment == 4 * plan.main.steps && plan.group == plan.segments_per_group * plan.segment;
  const bool in_tail = plan.tail.quads == 0 || plan.segment == 4 * kGemvStreams * plan.tail.steps;
  return (plan.main.quads == 0 || in_main) && in_tail;
}

void finish_row(const GemvKernels& kernels, const GemvMethod& method, const GemvPlan& plan, const std::int8_t* unordered,
                std::uint8_t* row, std::int32_t* corrections) noexcept {
  const std::size_t length = arranged_inputs(plan);
  auto* const signed_row = reinterpret_cast<std::int8_t*>(row);
  if (unordered == nullptr) std::memset(row + plan.depth, 0, length - plan.depth);
  else arrange(plan, unordered, signed_row);
  if (!method.takes_unsigned) return kernels.correct(signed_row, plan.main, plan.tail, corrections);
  for (std::size_t i = 0; i < length; ++i) row[i] ^= 0x80;
}

void multiply_panels(const GemvProduct& product, const Parallel& parallel) noexcept {
  const GemvPlan& plan = *product.plan;
  const std::size_t panels = panel_count(plan), wanted = parallel.threads * kTasksPerThread;
  const bool is_small = block_bytes(plan) * block_count(plan) * product.rows < kSerialBytes;
  const std::size_t tasks = is_small || parallel.threads < 2 ? 1 : wanted < panels ? wanted : panels;
  Split split{product, panels, gemv_row_stride(plan), gemv_correction_stride(plan),
              (product.rows + product.method->rows - 1) / product.method->rows, tasks};
  parallel_for(parallel, tasks, multiply_some, &split);
}

}  // namespace tritforge
