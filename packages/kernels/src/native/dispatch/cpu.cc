#include "tritforge/cpu.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__aarch64__) && defined(__APPLE__)
#include <sys/sysctl.h>
#endif

namespace tritforge {
namespace {

#if defined(__x86_64__)

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

// XCR0: which registers the operating system saves.
unsigned saved_registers() {
  if ((cpuid(1, 0).c >> 27 & 1) == 0) return 0;  // OSXSAVE
  unsigned low = 0, high = 0;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

constexpr unsigned kYmmState = 0x06, kZmmState = 0xe6;

bool bit(unsigned value, int at) { return (value >> at & 1) != 0; }

bool detect(Isa isa) {
  if (isa == Isa::scalar) return true;
  const Registers one = cpuid(1, 0), seven = cpuid(7, 0), seven_one = seven.a >= 1 ? cpuid(7, 1) : Registers{};
  const unsigned state = saved_registers();
  const bool avx2 = (state & kYmmState) == kYmmState && bit(seven.b, 5) && bit(one.c, 12) /* FMA */ &&
                    bit(one.c, 29) /* F16C */ && bit(seven.b, 8) /* BMI2 */;
  if (isa == Isa::avx2) return avx2;
  if (isa == Isa::avxvnni) return avx2 && bit(seven_one.a, 4);
  if (isa == Isa::avx512) {
    return avx2 && (state & kZmmState) == kZmmState && bit(seven.b, 16) /* F */ && bit(seven.b, 17) /* DQ */ &&
           bit(seven.b, 30) /* BW */ && bit(seven.b, 31) /* VL */ && bit(seven.c, 1) /* VBMI */ && bit(seven.c, 11) /* VNNI */;
  }
  return false;
}

#elif defined(__aarch64__) && defined(__linux__)

bool detect(Isa isa) {
  constexpr unsigned long kDotProduct = 1ul << 20;  // HWCAP_ASIMDDP
  constexpr unsigned long kInt8Matrix = 1ul << 13;  // HWCAP2_I8MM
  const bool dot = (getauxval(AT_HWCAP) & kDotProduct) != 0;
  if (isa == Isa::neon) return dot;
  if (isa == Isa::neon_i8mm) return dot && (getauxval(AT_HWCAP2) & kInt8Matrix) != 0;
  return isa == Isa::scalar;
}

#elif defined(__aarch64__) && defined(__APPLE__)

bool has_feature(const char* name) {
  int value = 0;
  std::size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}

bool detect(Isa isa) {
  const bool dot = has_feature("hw.optional.arm.FEAT_DotProd");
  if (isa == Isa::neon) return dot;
  if (isa == Isa::neon_i8mm) return dot && has_feature("hw.optional.arm.FEAT_I8MM");
  return isa == Isa::scalar;
}

#else

bool detect(Isa isa) { return isa == Isa::scalar; }

#endif

struct Choice {
  Isa isa;
  char problem[160];
};

Choice choose() {
  Choice choice{best_isa(), ""};
  const char* wanted = std::getenv("TRITFORGE_KERNELS");
  if (wanted == nullptr || *wanted == '\0') return choice;
  for (const Isa isa : kAllIsas) {
    if (std::strcmp(wanted, isa_name(isa)) != 0) continue;
    if (isa_is_built(isa) && cpu_has(isa)) return {isa, ""};
    std::snprintf(choice.problem, sizeof choice.problem, "TRITFORGE_KERNELS=%s: %s; %s run", isa_name(isa),
                  isa_is_built(isa) ? "this processor has no such instructions" : "these kernels were not built",
                  isa_name(choice.isa));
    return choice;
  }
  std::snprintf(choice.problem, sizeof choice.problem,
                "TRITFORGE_KERNELS=%.32s is not one of scalar, avx2, avxvnni, avx512, neon, neon-i8mm; %s run", wanted,
                isa_name(choice.isa));
  return choice;
}

const Choice& choice() {
  static const Choice chosen = choose();
  return chosen;
}

}  // namespace

const char* isa_name(Isa isa) noexcept {
  switch (isa) {
    case Isa::scalar: return "scalar";
    case Isa::avx2: return "avx2";
    case Isa::avxvnni: return "avxvnni";
    case Isa::avx512: return "avx512";
    case Isa::neon: return "neon";
    case Isa::neon_i8mm: return "neon-i8mm";
  }
  return "unknown";
}

bool isa_is_built(Isa isa) noexcept {
  switch (isa) {
    case Isa::scalar: return true;
#ifdef TRITFORGE_BUILT_AVX2
    case Isa::avx2: return true;
#endif
#ifdef TRITFORGE_BUILT_AVXVNNI
    case Isa::avxvnni: return true;
#endif
#ifdef TRITFORGE_BUILT_AVX512
    case Isa::avx512: return true;
#endif
#ifdef TRITFORGE_BUILT_NEON
    case Isa::neon: return true;
#endif
#ifdef TRITFORGE_BUILT_NEON_I8MM
    case Isa::neon_i8mm: return true;
#endif
    default: return false;
  }
}

bool cpu_has(Isa isa) noexcept {
  static const auto found = [] {
    struct {
      bool has[sizeof kAllIsas / sizeof kAllIsas[0]];
    } all{};
    for (const Isa each : kAllIsas) all.has[static_cast<int>(each)] = detect(each);
    return all;
  }();
  return found.has[static_cast<int>(isa)];
}

Isa best_isa() noexcept {
  Isa best = Isa::scalar;
  for (const Isa isa : kAllIsas) {
    if (isa_is_built(isa) && cpu_has(isa)) best = isa;  // in rising order of speed
  }
  return best;
}

Isa active_isa() noexcept { return choice().isa; }

const char* isa_override_problem() noexcept { return choice().problem[0] == '\0' ? nullptr : choice().problem; }

}  // namespace tritforge
