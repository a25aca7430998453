/* AMX on a processor without: to be preloaded.  An instruction on tiles traps, and is carried out here on memory,
 * as Intel's Architecture Instruction Set Extensions Programming Reference (319433), chapter 3, describes it; what
 * would fault ends the process with a line that says why.  The machine is said to have AMX: by /proc/cpuinfo, and
 * by the system call that gives leave to use it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <xmmintrin.h>

enum { TILES = 8, ROWS = 16, ROW_BYTES = 64 };
enum { NO_PREFIX, PREFIX_66, PREFIX_F3, PREFIX_F2 };

typedef struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} Config;
_Static_assert(sizeof(Config) == 64, "as ldtilecfg reads it");

typedef union {
    uint8_t bytes[ROWS][ROW_BYTES];
    int8_t i8[ROWS][ROW_BYTES];
    int32_t i32[ROWS][ROW_BYTES / 4];
    float f32[ROWS][ROW_BYTES / 4];
    uint16_t bf16[ROWS][ROW_BYTES / 2];
} Tile;

static __thread __attribute__((tls_model("initial-exec"))) Config config;
static __thread __attribute__((tls_model("initial-exec"))) Tile tiles[TILES];

static void fault(const char *what) {
    char line[160];
    int length = snprintf(line, sizeof line, "AMX: %s\n", what);
    if (write(STDERR_FILENO, line, length) != length) _exit(126);
    abort();
}

/* ---- what the instructions do ---- */

static void require_configured(int tile) {
    if (!config.palette) fault("a tile is used before ldtilecfg or after tilerelease");
    if (tile >= TILES || !config.rows[tile]) fault("a tile is used that the configuration does not give");
}

static void configure(const Config *given) {
    if (given->palette > 1) fault("ldtilecfg of a palette that is not known");
    for (int i = 0; i < 16; i++) {
        int is_half = !given->rows[i] != !given->row_bytes[i];
        int is_large = given->rows[i] > ROWS || given->row_bytes[i] > ROW_BYTES || given->row_bytes[i] % 4;
        if (is_half || is_large || (i >= TILES && given->rows[i])) fault("ldtilecfg of a shape that no tile has");
    }
    config = *given;
    memset(tiles, 0, sizeof tiles);
}

static void load(int tile, const uint8_t *from, int64_t stride) {
    require_configured(tile);
    memset(&tiles[tile], 0, sizeof(Tile));
    for (int row = 0; row < config.rows[tile]; row++)
        memcpy(tiles[tile].bytes[row], from + row * stride, config.row_bytes[tile]);
}

static void store(int tile, uint8_t *to, int64_t stride) {
    require_configured(tile);
    for (int row = 0; row < config.rows[tile]; row++)
        memcpy(to + row * stride, tiles[tile].bytes[row], config.row_bytes[tile]);
}

static void require_product(int total, int left, int right) {
    require_configured(total), require_configured(left), require_configured(right);
    if (total == left || total == right || left == right) fault("a product of one tile with itself");
    if (config.rows[total] != config.rows[left] || config.row_bytes[total] != config.row_bytes[right] ||
        config.row_bytes[left] != 4 * config.rows[right])
        fault("a product of tiles whose shapes do not fit");
}

static float bf16(uint16_t bits) {
    union { uint32_t u; float f; } wide = {(uint32_t)bits << 16};
    return wide.f;
}

/* Even and odd elements are summed apart, then added; denormals are zeros; to nearest, ties to even. */
static void dot_bf16(int total, int left, int right) {
    _mm_setcsr(0x1F80 | 0x8000 | 0x0040);
    for (int m = 0; m < config.rows[total]; m++) {
        float even[16] = {0}, odd[16] = {0};
        for (int k = 0; k < config.rows[right]; k++)
            for (int n = 0; n < 16; n++) {
                const uint16_t *pair = &tiles[right].bf16[k][2 * n];
                even[n] = __builtin_fmaf(bf16(tiles[left].bf16[m][2 * k]), bf16(pair[0]), even[n]);
                odd[n] = __builtin_fmaf(bf16(tiles[left].bf16[m][2 * k + 1]), bf16(pair[1]), odd[n]);
            }
        for (int n = 0; n < config.row_bytes[total] / 4; n++) tiles[total].f32[m][n] += even[n] + odd[n];
    }
}

static void dot_int8(int total, int left, int right, int left_is_signed, int right_is_signed) {
    for (int m = 0; m < config.rows[total]; m++)
        for (int k = 0; k < config.rows[right]; k++)
            for (int n = 0; n < config.row_bytes[total] / 4; n++)
                for (int i = 0; i < 4; i++) {
                    int a = left_is_signed ? tiles[left].i8[m][4 * k + i] : tiles[left].bytes[m][4 * k + i];
                    int b = right_is_signed ? tiles[right].i8[k][4 * n + i] : tiles[right].bytes[k][4 * n + i];
                    tiles[total].i32[m][n] += a * b;
                }
}

/* ---- which instruction it is: VEX.128.0F38.W0, opcodes 49, 4B, 5C and 5E ---- */

typedef struct {
    int prefix, opcode, mode, reg, rm, third, length;
    uint8_t *address;  /* of an operand in memory; of rows, the first */
    int64_t stride;
} Instruction;

static int64_t value_of(const ucontext_t *at, int number) {
    static const int places[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                   REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
    return at->uc_mcontext.gregs[places[number]];
}

/* Base, index and displacement; an index is no part of the address of rows but what lies between them. */
static void read_operand(const ucontext_t *at, const uint8_t *code, int high_index, int high_base, Instruction *given) {
    const uint8_t *next = code + 5;
    int base = given->rm | high_base, has_base = 1;
    if (given->rm == 4) {
        int sib = *next++, index = (sib >> 3 & 7) | high_index;
        base = (sib & 7) | high_base;
        given->stride = index == 4 ? 0 : value_of(at, index) << (sib >> 6);
    }
    if ((base & 7) == 5 && !given->mode) has_base = 0;
    int32_t displacement = 0;
    int bytes = given->mode == 1 ? 1 : given->mode == 2 || !has_base ? 4 : 0;
    if (bytes == 1) displacement = (int8_t)*next;
    if (bytes == 4) memcpy(&displacement, next, 4);
    given->length = next + bytes - code;
    int64_t from = has_base ? value_of(at, base) : given->rm == 4 ? 0 : (int64_t)(code + given->length);
    given->address = (uint8_t *)(from + displacement);
}

static int decode(const ucontext_t *at, Instruction *given) {
    const uint8_t *code = (const uint8_t *)at->uc_mcontext.gregs[REG_RIP];
    if (code[0] != 0xC4 || (code[1] & 31) != 2 || code[2] & 0x84) return 0;
    *given = (Instruction){.prefix = code[2] & 3, .opcode = code[3], .mode = code[4] >> 6, .reg = code[4] >> 3 & 7,
                           .rm = code[4] & 7, .third = ~code[2] >> 3 & 15, .length = 5};
    if (given->mode != 3) read_operand(at, code, code[1] & 0x40 ? 0 : 8, code[1] & 0x20 ? 0 : 8, given);
    return 1;
}

static int carry_out(const Instruction *given) {
    int in_memory = given->mode != 3;
    switch (given->opcode << 8 | given->prefix << 4 | in_memory) {
    case 0x4900 | NO_PREFIX << 4 | 1: configure((const Config *)(given->address + given->stride)); return 1;
    case 0x4900 | NO_PREFIX << 4 | 0: memset(&config, 0, sizeof config); return 1;
    case 0x4900 | PREFIX_F2 << 4 | 0: require_configured(given->reg), memset(&tiles[given->reg], 0, sizeof(Tile)); return 1;
    case 0x4B00 | PREFIX_F2 << 4 | 1:
    case 0x4B00 | PREFIX_66 << 4 | 1: load(given->reg, given->address, given->stride); return 1;
    case 0x4B00 | PREFIX_F3 << 4 | 1: store(given->reg, given->address, given->stride); return 1;
    case 0x5C00 | PREFIX_F3 << 4 | 0:
        require_product(given->reg, given->rm, given->third);
        dot_bf16(given->reg, given->rm, given->third);
        return 1;
    case 0x5E00 | NO_PREFIX << 4 | 0:
    case 0x5E00 | PREFIX_66 << 4 | 0:
    case 0x5E00 | PREFIX_F3 << 4 | 0:
    case 0x5E00 | PREFIX_F2 << 4 | 0:
        require_product(given->reg, given->rm, given->third);
        dot_int8(given->reg, given->rm, given->third, given->prefix >> 1, given->prefix & 1);
        return 1;
    default: return 0;
    }
}

static void on_illegal_instruction(int number, siginfo_t *info, void *context) {
    (void)info;
    ucontext_t *at = context;
    Instruction given;
    if (!decode(at, &given) || !carry_out(&given)) {
        signal(number, SIG_DFL);  /* another one: it traps again, and ends the process */
        return;
    }
    at->uc_mcontext.gregs[REG_RIP] += given.length;
}

__attribute__((constructor)) static void play_amx(void) {
    struct sigaction action = {.sa_sigaction = on_illegal_instruction, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigaction(SIGILL, &action, NULL);
}

/* ---- what the machine says of itself ---- */

long syscall(long number, ...) {
    va_list list;
    long a[6];
    va_start(list, number);
    for (int i = 0; i < 6; i++) a[i] = va_arg(list, long);
    va_end(list);
    if (number == SYS_arch_prctl && a[0] == 0x1023) return 0;  /* ARCH_REQ_XCOMP_PERM */
    register long r10 __asm__("r10") = a[3], r8 __asm__("r8") = a[4], r9 __asm__("r9") = a[5];
    long status;
    __asm__ volatile("syscall" : "=a"(status) : "a"(number), "D"(a[0]), "S"(a[1]), "d"(a[2]), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    if (status < 0 && status >= -4095) return errno = -status, -1;
    return status;
}

static int with_amx(int from) {
    static char text[1 << 20];
    FILE *listed = fdopen(from, "r");
    int to = memfd_create("cpuinfo", 0);
    while (listed && fgets(text, sizeof text, listed)) {
        if (!strncmp(text, "flags", 5)) strcpy(strchr(text, '\n'), " amx_tile amx_bf16 amx_int8\n");
        if (write(to, text, strlen(text)) < 0) break;
    }
    if (listed) fclose(listed);
    lseek(to, 0, SEEK_SET);
    return to;
}

int open64(const char *path, int flags, ...) {
    va_list list;
    va_start(list, flags);
    mode_t mode = va_arg(list, mode_t);
    va_end(list);
    int opened = openat(AT_FDCWD, path, flags, mode);
    return opened >= 0 && !strcmp(path, "/proc/cpuinfo") ? with_amx(opened) : opened;
}
