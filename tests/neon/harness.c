/* Calls one compiled function on arguments from a file, where there is neither Python nor TVM.
 *
 *   harness IN OUT
 *
 * IN: the number of arguments; for each of them five numbers: is it a tensor, its value or else its elements,
 * and of an element the type code, the bits and the lanes; then the elements of all tensors. Numbers are int64.
 * OUT: the elements of all tensors after the call.
 *
 * Compile with -DKERNEL=__tvm_ffi_NAME, link with the object that defines it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <tvm/ffi/c_api.h>

enum { MOST_ARGUMENTS = 64, ALIGNMENT = 64 };

typedef struct {
  int64_t is_tensor, value, code, bits, lanes;
} Argument;

int KERNEL(void* self, const TVMFFIAny* arguments, int32_t count, TVMFFIAny* result);

/* What an object asks of TVM's runtime: a place for the message of a failed check, and the call of another function,
 * which only the functions for threads make. */
void TVMFFIErrorSetRaisedFromCStrParts(const char* kind, const char** parts, int32_t count) {
  fprintf(stderr, "%s: ", kind);
  for (int32_t i = 0; i < count; ++i) fputs(parts[i] ? parts[i] : "", stderr);
  fputs("\n", stderr);
}

int TVMFFIFunctionCall(TVMFFIObjectHandle function, TVMFFIAny* arguments, int32_t count, TVMFFIAny* result) { abort(); }

static void require(int holds, const char* what) {
  if (holds) return;
  fprintf(stderr, "harness: %s\n", what);
  exit(2);
}

static size_t bytes_of(const Argument* argument) { return argument->value * argument->bits / 8 * argument->lanes; }

static void* read_elements(const Argument* argument, FILE* in) {
  size_t bytes = bytes_of(argument);
  void* elements = aligned_alloc(ALIGNMENT, (bytes / ALIGNMENT + 1) * ALIGNMENT);
  require(fread(elements, 1, bytes, in) == bytes, "the elements of a tensor are cut short");
  return elements;
}

int main(int argc, char** argv) {
  static Argument given[MOST_ARGUMENTS];
  static TVMFFIAny passed[MOST_ARGUMENTS];
  static DLTensor tensors[MOST_ARGUMENTS];
  static int64_t stride = 1;
  int64_t count = 0;

  require(argc == 3, "usage: harness IN OUT");
  FILE* in = fopen(argv[1], "rb");
  require(in && fread(&count, sizeof count, 1, in) == 1, "no arguments");
  require(count <= MOST_ARGUMENTS, "too many arguments");
  require(fread(given, sizeof *given, count, in) == (size_t)count, "the arguments are cut short");

  for (int64_t i = 0; i < count; ++i) {
    passed[i].type_index = kTVMFFIInt;
    passed[i].v_int64 = given[i].value;
    if (!given[i].is_tensor) continue;
    tensors[i] = (DLTensor){.data = read_elements(&given[i], in),
                            .device = {kDLCPU, 0},
                            .ndim = 1,
                            .dtype = {given[i].code, given[i].bits, given[i].lanes},
                            .shape = &given[i].value,
                            .strides = &stride};
    passed[i].type_index = kTVMFFIDLTensorPtr;
    passed[i].v_ptr = &tensors[i];
  }

  TVMFFIAny result = {.type_index = kTVMFFINone};
  if (KERNEL(NULL, passed, (int32_t)count, &result) != 0) return 1;

  FILE* out = fopen(argv[2], "wb");
  require(out != NULL, "cannot write");
  for (int64_t i = 0; i < count; ++i)
    if (given[i].is_tensor) fwrite(tensors[i].data, 1, bytes_of(&given[i]), out);
  return fclose(out) != 0;
}
