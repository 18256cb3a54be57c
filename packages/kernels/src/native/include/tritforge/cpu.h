// Instruction sets that kernels are written for, and which of them runs. A kernel runs when it was built and the CPU has
// its instructions; `TRITFORGE_KERNELS=<name>` lowers the choice for tests and measurements.
#pragma once

namespace tritforge {

enum class Isa {
  scalar,      // the reference; never chosen for speed, only by name or where nothing else exists
  avx2,        // AVX2, FMA, F16C
  avxvnni,     // and AVX-VNNI: vpdpbusd on ymm
  avx512,      // AVX-512 F, BW, DQ, VL, VNNI, VBMI
  neon,        // ARMv8.2 with dot product
  neon_i8mm,   // and the int8 matrix multiplication extension
};

inline constexpr Isa kAllIsas[] = {Isa::scalar, Isa::avx2, Isa::avxvnni, Isa::avx512, Isa::neon, Isa::neon_i8mm};

// "scalar", "avx2", "avxvnni", "avx512", "neon", "neon-i8mm".
const char* isa_name(Isa isa) noexcept;

// Whether the compiler could build the kernels of `isa`.
bool isa_is_built(Isa isa) noexcept;

// Whether this CPU, and the operating system by saving its registers, can execute them.
bool cpu_has(Isa isa) noexcept;

// The best set that is built and that the CPU has.
Isa best_isa() noexcept;

// The choice of this process: that of TRITFORGE_KERNELS if it names a set that can run, else best_isa(). Read once.
Isa active_isa() noexcept;

// What is wrong with TRITFORGE_KERNELS, or null: an unknown name, not built, or not on this CPU.
const char* isa_override_problem() noexcept;

}  // namespace tritforge
