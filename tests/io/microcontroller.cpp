// Exported C code on the machines that it is for: an AVR (ATmega2560, int of 16 bits, in simavr)
// and a Cortex-M0 (nRF51, no floating point unit, in QEMU). Debian: gcc-avr avr-libc simavr,
// gcc-arm-none-eabi libnewlib-arm-none-eabi qemu-system-arm. Skipped without them.

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "mgdl/io/c_header.hpp"
#include "mgdl/io/export/fixed_point.hpp"
#include "support/networks.hpp"
#include "support/shell.hpp"
#include "support/temporary_folder.hpp"

using mgdl::CNumber;
using mgdl::FeatureLink;
using mgdl::Index;
using mgdl::Matrix;
using mgdl::test::quoted;
using mgdl::test::shell;

namespace {

constexpr CNumber exact_numbers[] = {CNumber::Float32, CNumber::Int16, CNumber::Int8};

/// Writes the result of the self-test, and the bits of every prefix at some points inside and
/// outside of the box, as hexadecimal numbers.
constexpr const char* kProgram = R"(#include <stdint.h>
#include "net.h"

static void put(char c);

#if defined(__AVR__)
#include <avr/interrupt.h>
#include <avr/io.h>
#include <avr/sleep.h>
static void start(void) { UBRR0 = 8; UCSR0B = 1 << TXEN0; }
static void put(char c) { while (!(UCSR0A & (1 << UDRE0))) {} UDR0 = (uint8_t)c; }
static void stop(void) { while (!(UCSR0A & (1 << UDRE0))) {} cli(); sleep_enable(); sleep_cpu(); }
#elif defined(__arm__)
int main(void);
static long call(long operation, const void* argument) {
  register long r0 __asm__("r0") = operation;
  register const void* r1 __asm__("r1") = argument;
  __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}
static void reset(void) { main(); }
__attribute__((section(".vectors"), used)) static void (*const vectors[2])(void) = {
    (void (*)(void))0x20004000, reset};
static void start(void) {}
static void put(char c) { call(3, &c); }
static void stop(void) { call(0x18, (const void*)0x20026); for (;;) {} }
#else
#include <stdio.h>
static void start(void) {}
static void put(char c) { putchar(c); }
static void stop(void) {}
#endif

static void put_hex(uint32_t value) {
  int i;
  put('=');
  for (i = 28; i >= 0; i -= 4) put("0123456789abcdef"[value >> i & 15]);
  put('\n');
}

static const float points[][2] = {
    {0.5f, 0.5f}, {0.1f, 0.9f}, {0.0f, 0.0f}, {1.0f, 1.0f}, {1.05f, 0.5f}, {1.5f, 0.5f},
    {-0.5f, 0.5f}, {0.5f, 3.0f}, {-900.0f, 900.0f}, {900.0f, -900.0f}, {1e30f, -1e30f}};

int main(void) {
  unsigned i;
  int k, j;
  start();
  put_hex((uint32_t)net_self_test());
  for (i = 0; i < sizeof points / sizeof *points; ++i) {
    for (k = 0; k <= GRADES; ++k) {
      union { float value[2]; uint32_t bits[2]; } y;
      net_predict_grades(points[i], k, y.value);
      for (j = 0; j < 2; ++j) put_hex(y.bits[j]);
    }
  }
  stop();
  return 0;
}
)";

constexpr const char* kLinkerScript = R"(MEMORY {
  FLASH (rx) : ORIGIN = 0, LENGTH = 256K
  RAM (rwx) : ORIGIN = 0x20000000, LENGTH = 16K
}
SECTIONS {
  .text : { KEEP(*(.vectors)) *(.text*) *(.rodata*) } > FLASH
  .data : { *(.data*) } > RAM
  .bss : { *(.bss*) *(COMMON) } > RAM
  /DISCARD/ : { *(.ARM.exidx*) }
}
)";

/// The hexadecimal numbers that a command prints.
std::string numbers_of(const mgdl::test::TemporaryFolder& folder, const std::string& command) {
  INFO(command);
  REQUIRE(shell("{ " + command + "; } 2>&1 < /dev/null | grep -ao '=[0-9a-f]\\{8\\}' > " +
                quoted(folder / "numbers")) == 0);
  return mgdl::read_file(folder / "numbers");
}

bool has(const std::vector<std::string>& programs) {
  for (const auto& program : programs) {
    if (mgdl::test::has_program(program)) continue;
    WARN("skipped: no " << program);
    return false;
  }
  return true;
}

/// Three grades whose features have a coarser scale than their inputs, which they get too: the
/// inputs are shifted beside them.
mgdl::MultigradeModel<double> linked_model(FeatureLink link) {
  mgdl::RandomStream random(mgdl::test::seed(), 31);
  return mgdl::test::random_model<double>(2, 2, {{8}, {8}, {8}}, link, random);
}

/// Writes net.h, and what has to be compiled with it.
struct Exported {
  Exported(const mgdl::MultigradeModel<double>& model, CNumber number) {
    mgdl::CHeaderOptions<double> options{.name = "net", .number = number};
    options.lower = mgdl::Vector<double>::Zero(2);
    options.upper = mgdl::Vector<double>::Ones(2);
    report = write_c_header(folder / "net.h", model, options);
    folder.write("main.c", kProgram);
    folder.write("flash.ld", kLinkerScript);
    flags = " -Os -Wall -Wextra -DGRADES=" + std::to_string(model.grades()) + " -o " +
            quoted(folder / "net") + " " + quoted(folder / "main.c");
  }

  /// What the program prints here, in all its versions.
  std::string expected() const {
    REQUIRE(shell("cc -std=c99 -Werror" + flags) == 0);
    std::string result = numbers_of(folder, quoted(folder / "net"));
    CHECK(result.starts_with("=00000000\n"));
    return result;
  }

  mgdl::test::TemporaryFolder folder;
  mgdl::CHeaderReport report;
  std::string flags;
};

/// Bytes of flash (text and data) and of RAM (data and bss) that a program takes.
struct Size {
  Size(const mgdl::test::TemporaryFolder& folder, const std::string& program) {
    REQUIRE(shell(program + " " + quoted(folder / "net") + " | tail -n 1 > " +
                  quoted(folder / "size")) == 0);
    Index text = 0;
    Index data = 0;
    Index bss = 0;
    REQUIRE(std::istringstream(mgdl::read_file(folder / "size")) >> text >> data >> bss);
    flash = text + data;
    ram = data + bss;
  }

  Index flash = 0;
  Index ram = 0;
};

}  // namespace

TEST_CASE("Exported C has the same bits on an AVR", "[io/c_header]") {
  if (!has({"cc", "avr-gcc", "avr-size", "simavr"})) return;
  for (const FeatureLink link : {FeatureLink::LastHiddenAndInput, FeatureLink::LastHidden}) {
    const auto model = linked_model(link);
    if (link == FeatureLink::LastHiddenAndInput) {
      const mgdl::Vector<double> zero = mgdl::Vector<double>::Zero(2);
      const mgdl::Vector<double> one = mgdl::Vector<double>::Ones(2);
      const auto shifts =
          mgdl::detail::quantised<double>(model, 16, zero, one, Matrix<double>()).input_shift;
      CHECK(*std::ranges::max_element(shifts) > 0);  // where int may overflow
    }
    for (const CNumber number : exact_numbers) {
      CAPTURE(to_string(link), to_string(number));
      const Exported exported(model, number);
      const std::string expected = exported.expected();
      const auto& folder = exported.folder;
      const std::string run =
          "timeout 60 simavr -m atmega2560 -f 16000000 " + quoted(folder / "net");
      // With constants in flash, and in RAM.
      REQUIRE(shell("avr-gcc -mmcu=atmega2560 -std=gnu99 -Werror" + exported.flags) == 0);
      CHECK(numbers_of(folder, run) == expected);
      const Size in_flash(folder, "avr-size");
      REQUIRE(shell("avr-gcc -mmcu=atmega2560 -std=c99 -Werror" + exported.flags) == 0);
      CHECK(numbers_of(folder, run) == expected);
      const Size in_ram(folder, "avr-size");
      // All of them, but for what the compiler writes into the code, means and scales say.
      CHECK(in_ram.ram - in_flash.ram <= exported.report.flash_bytes);
      CHECK(in_ram.ram - in_flash.ram > exported.report.flash_bytes * 3 / 4);
    }
  }
}

TEST_CASE("Exported C in double does not compile where double is float", "[io/c_header]") {
  if (!has({"cc", "avr-gcc"})) return;
  const Exported exported(linked_model(FeatureLink::LastHidden), CNumber::Float64);
  exported.folder.write("main.c",
                        "#include \"net.h\"\nint main(void) { return net_self_test(); }\n");
  CHECK(shell("cc -std=c99 -Werror" + exported.flags) == 0);
  CHECK(shell("avr-gcc -mmcu=atmega2560 -std=gnu99" + exported.flags + " 2> " +
              quoted(exported.folder / "errors")) != 0);
  CHECK(mgdl::read_file(exported.folder / "errors").find("net_needs_double_of_64_bits") !=
        std::string::npos);
}

TEST_CASE("Exported C has the same bits on a Cortex-M0, and fixed point is not larger",
          "[io/c_header]") {
  if (!has({"cc", "arm-none-eabi-gcc", "arm-none-eabi-size", "qemu-system-arm"})) return;
  for (const FeatureLink link : {FeatureLink::LastHiddenAndInput, FeatureLink::LastHidden}) {
    std::vector<Index> flash;
    for (const CNumber number : exact_numbers) {
      CAPTURE(to_string(link), to_string(number));
      const Exported exported(linked_model(link), number);
      const std::string expected = exported.expected();
      const auto& folder = exported.folder;
      REQUIRE(shell("arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb -std=c99 -Werror -nostartfiles "
                    "--specs=nano.specs -T " +
                    quoted(folder / "flash.ld") + exported.flags) == 0);
      CHECK(numbers_of(folder,
                       "timeout 60 qemu-system-arm -M microbit -nographic -semihosting "
                       "-kernel " +
                           quoted(folder / "net")) == expected);
      flash.push_back(Size(folder, "arm-none-eabi-size").flash);
    }
    CAPTURE(flash);
    CHECK(flash[1] <= flash[0]);
    CHECK(flash[2] <= flash[1]);
  }
}
