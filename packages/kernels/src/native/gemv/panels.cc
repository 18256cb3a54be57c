#include "gemv/panels.h"

#include <cstring>

namespace tritforge {
namespace {

// Work below which other threads are not worth waking, in bytes of weights times tiles of rows.
constexpr std::size_t kSerialBytes = 256 << 10;
// More tasks than threads, so that one that is interrupted does not hold up all.
constexpr std::size_t kTasksPerThread = 4;

struct Split {
  const GemvProduct* product;
  std::size_t tasks;
};

// Rows of the tile that begins at `row`, so that all tiles are about as large.
std::size_t rows_from(std::size_t row, std::size_t rows, std::size_t most) {
  const std::size_t left = rows - row, tiles = (left + most - 1) / most;
  return (left + tiles - 1) / tiles;
}

void multiply_panel(const GemvProduct& p, std::size_t panel) {
  const GemvPlan& plan = *p.plan;
  const std::size_t blocks = panel_blocks(plan, panel), first = panel * kGemvPanel;
  const std::size_t outputs = plan.outputs - first < kGemvPanel ? plan.outputs - first : kGemvPanel;
  const std::size_t most = p.kernels->tile_rows(plan.main.quads > 0 ? plan.main.steps : plan.tail.steps);
  alignas(64) std::int32_t sums[kGemvMaxTileRows * kGemvPanel];
  for (std::size_t row = 0; row < p.rows;) {
    const std::size_t rows = rows_from(row, p.rows, most);
    const std::size_t row_stride = gemv_row_stride(plan), correction_stride = gemv_correction_stride(plan);
    p.kernels->tile[rows - 1][blocks - 1]({p.payload + panel_offset(plan, panel), plan.main, plan.tail,
                                           p.arranged + row * row_stride, row_stride,
                                           p.corrections + row * correction_stride, correction_stride, sums});
    for (std::size_t i = 0; i < rows; ++i) p.finish(p.context, sums + i * kGemvPanel, row + i, first, outputs);
    row += rows;
  }
}

void multiply_some(void* context, std::size_t task) noexcept {
  const Split& split = *static_cast<const Split*>(context);
  const std::size_t panels = panel_count(*split.product->plan);
  const std::size_t end = panels * (task + 1) / split.tasks;
  for (std::size_t panel = panels * task / split.tasks; panel < end; ++panel) multiply_panel(*split.product, panel);
}

}  // namespace

bool keeps_order(const GemvPlan& plan) noexcept {
  const bool in_main = plan.segment == 4 * plan.main.steps && plan.group == plan.segments_per_group * plan.segment;
  const bool in_tail = plan.tail.quads == 0 || plan.segment == 4 * kGemvStreams * plan.tail.steps;
  return (plan.main.quads == 0 || in_main) && in_tail;
}

void arrange(const GemvPlan& plan, const std::int8_t* inputs, std::int8_t* arranged) noexcept {
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

void multiply_panels(const GemvProduct& product, const Parallel& parallel) noexcept {
  const GemvPlan& plan = *product.plan;
  const std::size_t panels = panel_count(plan), wanted = parallel.threads * kTasksPerThread;
  const bool is_small = block_bytes(plan) * block_count(plan) * product.rows < kSerialBytes;
  Split split{&product, is_small || parallel.threads < 2 ? 1 : wanted < panels ? wanted : panels};
  parallel_for(parallel, split.tasks, multiply_some, &split);
}

}  // namespace tritforge
