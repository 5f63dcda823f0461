// The only door between Swift and Lua. No Lua type or function is visible through it: Lua errors are longjmp, so every
// Lua call happens in C inside a protected call, and Swift exchanges flat encoded values with it.
#pragma once
#include <stddef.h>
#include <stdint.h>

typedef struct nnl_context nnl_context;

/// A growable byte buffer from malloc, outside Lua's memory.
typedef struct {
  uint8_t *bytes;
  size_t count;
  size_t capacity;
} nnl_buffer;

/// Appends bytes; returns 0, or -1 when memory is short.
int nnl_append(nnl_buffer *buffer, const void *bytes, size_t count);
void nnl_free(nnl_buffer *buffer);

/// What the Swift side offers to C. None of these may raise or call back into Lua except `call`, which may use nnl_perform.
typedef struct {
  void *host;
  /// Calls the Swift function or metamethod `key` with encoded arguments; the results are left in `results`. A negative
  /// answer means an error: -1 a new one, whose text gets a position, -2 one that came from Lua and passes through.
  int32_t (*call)(void *host, int64_t key, const uint8_t *arguments, size_t count, nnl_buffer *results);
  /// A Lua box for the Swift object `key` was made, or has died.
  void (*retain)(void *host, int64_t key);
  void (*release)(void *host, int64_t key);
  /// Text written by `print`, and Lua's warnings.
  void (*write)(void *host, const uint8_t *bytes, size_t count);
  void (*warn)(void *host, const uint8_t *bytes, size_t count);
  /// Told of an interrupt from any thread, also inside a signal handler; may be NULL.
  void (*interrupted)(void *host);
} nnl_host;

/// The tags of encoded values. A value is its tag and then:
/// integer and number 8 bytes; string 8 bytes of length and the bytes; table 8 bytes of array count, the array's values,
/// then key and value pairs up to NNL_END; function 8 bytes of reference and 8 bytes of Swift key (0 for a Lua function);
/// native 8 bytes of Swift key and a name as a string value; object 8 bytes of key, 8 bytes of foreign byte count,
/// 8 bytes of anchor count, then the anchors as values; reference 8 bytes of reference and a type name as a string value.
enum {
  NNL_NIL = 0,
  NNL_FALSE = 1,
  NNL_TRUE = 2,
  NNL_INTEGER = 3,
  NNL_NUMBER = 4,
  NNL_STRING = 5,
  NNL_TABLE = 6,
  NNL_FUNCTION = 7,
  NNL_OBJECT = 8,
  NNL_NATIVE = 9,
  NNL_REFERENCE = 10,
  NNL_END = 255
};

/// How a protected operation ended.
enum {
  NNL_OK = 0,
  NNL_ERROR = 1,
  NNL_OUT_OF_MEMORY = 2,
  NNL_HANDLER_FAILED = 3,
  NNL_INTERRUPTED = 4,
  NNL_SYNTAX = 5,
  NNL_WRONG_THREAD = 6
};

/// The protected operations; each comment gives the encoded arguments -> results.
enum {
  NNL_RUN = 1,       // source, chunk name, flags, finisher or nil, arguments... -> results of the chunk, or of finisher(results)
  NNL_COMPILE = 2,   // source, chunk name -> nothing
  NNL_CALL = 3,      // callable, arguments... -> results
  NNL_GET = 4,       // container (nil: the globals), key -> value, tables as references
  NNL_SET = 5,       // container (nil: the globals), key, value -> nothing
  NNL_KEYS = 6,      // table -> its keys, raw
  NNL_PIN = 7,       // reference -> nothing; keeps it alive until unpinned
  NNL_UNPIN = 8,     // integers: references -> nothing
  NNL_COLLECT = 9,   // nothing -> nothing; a full collection and the queued finalizers
  NNL_DESCRIBE = 10, // value -> the text of tostring
  NNL_FUNCTION_INFO = 11 // function -> source, short source, first line, last line, upvalue names and values as a table
};

/// Flags of NNL_RUN: keep the chunk's top-level locals as globals, also after an error.
enum { NNL_KEEP_LOCALS = 1 };

/// The keys under which a box's metamethods reach `call`; arguments are those of the metamethod.
enum {
  NNL_META_INDEX = -1,
  NNL_META_NEWINDEX = -2,
  NNL_META_CALL = -3,
  NNL_META_TOSTRING = -4,
  NNL_META_LENGTH = -5,
  NNL_META_PAIRS = -6,
  NNL_META_CLOSE = -7,
  NNL_META_EQUAL = -8,
  NNL_META_LESS = -9,
  NNL_META_LESS_EQUAL = -10,
  NNL_META_ADD = -11,
  NNL_META_SUBTRACT = -12,
  NNL_META_MULTIPLY = -13,
  NNL_META_DIVIDE = -14,
  NNL_META_POWER = -15,
  NNL_META_NEGATE = -16,
  NNL_META_CONCATENATE = -17
};

/// Makes a state owned by the calling thread, with the libraries opened; NULL when memory is short. A limit of 0 is none.
nnl_context *nnl_create(const nnl_host *host, size_t memory_limit);
/// Runs what finalizers are left and frees everything.
void nnl_close(nnl_context *context);

/// Runs one protected operation. After a failure `results` holds: the error value, its text, the traceback.
int32_t nnl_perform(
  nnl_context *context, int32_t operation, const uint8_t *arguments, size_t count, nnl_buffer *results);

/// Stops what runs in the state; from any thread and from signal handlers.
void nnl_interrupt(nnl_context *context);
/// Whether an interrupt is under way.
int nnl_is_interrupted(nnl_context *context);
/// Forgets an interrupt that came while nothing ran.
void nnl_clear_interrupt(nnl_context *context);
/// Makes Ctrl-C interrupt this state: the third press within one evaluation ends the process. NULL restores the default.
void nnl_watch_ctrl_c(nnl_context *context);
/// How often Ctrl-C was pressed since the last nnl_clear_interrupt.
int nnl_ctrl_c_count(void);

size_t nnl_memory_used(const nnl_context *context);
void nnl_set_memory_limit(nnl_context *context, size_t limit);
/// Bytes of foreign memory behind all live boxes.
size_t nnl_foreign_bytes(const nnl_context *context);
/// The largest string that string.rep, table.concat and their like may build.
void nnl_set_string_limit(nnl_context *context, size_t limit);

/// Writes to the C standard streams, so that the order with io.write is kept.
void nnl_write_stdout(const uint8_t *bytes, size_t count);
void nnl_write_stderr(const uint8_t *bytes, size_t count);
