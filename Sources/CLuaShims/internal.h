// What the C files of the bridge share. Everything here runs inside a protected call, unless it says otherwise.
#pragma once
#include <lua5.4/lua.h>
#include <lua5.4/lauxlib.h>
#include <lua5.4/lualib.h>
#include <pthread.h>
#include <stdatomic.h>
#include "include/CLuaShims.h"

// Swift calls nested in Lua calls nested in Swift calls; Lua's own limit of C levels is reached at about the same depth.
#define NNL_MAX_DEPTH 64
// Tables nested deeper than this are refused: they most likely contain themselves.
#define NNL_MAX_NESTING 64

struct nnl_context {
  lua_State *main;
  lua_State *volatile running; // the coroutine that runs now, for hooks and nested calls
  atomic_int interrupted;
  pthread_t owner;
  nnl_host host;
  size_t used, limit, slack;
  size_t foreign, foreign_mark;
  size_t string_limit;
  int depth;      // nested Swift calls
  int entries;    // nested nnl_perform calls
  int finalizing; // the queue of finalizers is being run
  lua_Integer queue_first, queue_last; // the finalizers that wait, as positions in the queue's table
  int keeping_locals;
  int64_t next_reference;
  nnl_buffer buffers[2 * NNL_MAX_DEPTH];
  nnl_buffer trace;   // traceback of the last error
  nnl_buffer carried; // traceback of an inner error that Swift passed on
};

// Registry keys: the addresses are the keys.
extern char nnl_key_references, nnl_key_identities, nnl_key_pins, nnl_key_objects, nnl_key_natives, nnl_key_metatable,
  nnl_key_box, nnl_key_interrupt, nnl_key_finalizable, nnl_key_queue, nnl_key_proxy, nnl_key_chunk;

// The userdata behind every Swift object: a key into the host's object table, 0 once released.
typedef struct {
  int64_t key;
  size_t foreign;
} nnl_box;

static inline nnl_context *nnl_of(lua_State *L) { return *(nnl_context **)lua_getextraspace(L); }
static inline int nnl_flagged(nnl_context *context) {
  return atomic_load_explicit(&context->interrupted, memory_order_relaxed);
}

// context.c
void nnl_arm(lua_State *L);
int nnl_raise_interrupt(lua_State *L);
static inline void nnl_poll(lua_State *L, nnl_context *context) {
  if (nnl_flagged(context)) nnl_raise_interrupt(L);
}
void nnl_account_foreign(lua_State *L, nnl_context *context, size_t bytes);

// codec.c
void nnl_encode(lua_State *L, int index, nnl_buffer *buffer, int shallow);
int nnl_decode_all(lua_State *L, const uint8_t *bytes, size_t count);
int64_t nnl_reference(lua_State *L, int index);
void nnl_setup_boxes(lua_State *L);

// One call of nnl_perform.
typedef struct {
  int32_t operation;
  const uint8_t *arguments;
  size_t count;
  nnl_buffer *results;
} nnl_request;

// operations.c: the body of nnl_perform under protection, and the report of its failure
int nnl_operate(lua_State *L);
int nnl_report(lua_State *L);

// calls.c
int nnl_dispatch(lua_State *L);
int nnl_message_handler(lua_State *L);
void nnl_keep_locals(lua_State *L, int level);
int nnl_capture(lua_State *L);

// library.c, coroutines.c, finalizers.c, strings.c
void nnl_open_library(lua_State *L);
void nnl_open_coroutines(lua_State *L);
void nnl_open_finalizers(lua_State *L);
void nnl_run_finalizers(lua_State *L);
void nnl_queue_all_finalizers(lua_State *L);
void nnl_open_strings(lua_State *L);
void nnl_open_patterns(lua_State *L);
