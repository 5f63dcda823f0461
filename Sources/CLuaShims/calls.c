// Calls from Lua into Swift, tracebacks, and the rescue of a chunk's locals.
#include <stdio.h>
#include <string.h>
#include "internal.h"

// Frames shown at each end of a long traceback.
#define TRACE_HEAD 12
#define TRACE_TAIL 10
// A call buffer larger than this is given back after the call: 1 MiB.
#define BUFFER_KEPT ((size_t)1 << 20)

static void trim(nnl_buffer *buffer) {
  if (buffer->capacity > BUFFER_KEPT) nnl_free(buffer);
  buffer->count = 0;
}

// Raises what Swift left in `results`: the error value, then the traceback of an inner error or nothing. A text that is
// new (code -1) gets the caller's position; an error that only passes through (-2) stays as it is.
static int raise_host_error(lua_State *L, nnl_context *context, nnl_buffer *results, int32_t code) {
  lua_settop(L, 0);
  int count = nnl_decode_all(L, results->bytes, results->count);
  trim(results);
  context->carried.count = 0;
  if (count >= 2 && lua_type(L, 2) == LUA_TSTRING) {
    size_t length;
    const char *text = lua_tolstring(L, 2, &length);
    nnl_append(&context->carried, text, length);
  }
  lua_settop(L, 1);
  nnl_poll(L, context);
  if (code == -1 && lua_type(L, 1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, 1);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

// The trampoline of every Swift function and metamethod. Swift has returned before anything is raised here.
// Upvalues: the function's box, or a metamethod's number; the name for tracebacks.
int nnl_dispatch(lua_State *L) {
  nnl_context *context = nnl_of(L);
  nnl_poll(L, context);
  int64_t key;
  if (lua_isinteger(L, lua_upvalueindex(1))) {
    key = lua_tointeger(L, lua_upvalueindex(1));
  } else {
    nnl_box *box = lua_touserdata(L, lua_upvalueindex(1));
    key = box->key;
  }
  if (context->depth >= NNL_MAX_DEPTH) return luaL_error(L, "calls between Lua and the engine nest too deep");
  nnl_buffer *arguments = &context->buffers[2 * context->depth];
  nnl_buffer *results = arguments + 1;
  arguments->count = 0;
  results->count = 0;
  int shallow = key == NNL_META_EQUAL;
  for (int i = 1, count = lua_gettop(L); i <= count; i++) nnl_encode(L, i, arguments, shallow);
  context->depth++;
  int32_t code = context->host.call(context->host.host, key, arguments->bytes, arguments->count, results);
  context->depth--;
  trim(arguments);
  if (code < 0) return raise_host_error(L, context, results, code);
  // The arguments stay on the stack until the results are there: boxes and functions among them must not die.
  int count = nnl_decode_all(L, results->bytes, results->count);
  trim(results);
  if (key != NNL_META_CLOSE) nnl_run_finalizers(L);
  return count;
}

// MARK: tracebacks

static void put_text(nnl_buffer *trace, const char *text) { nnl_append(trace, text, strlen(text)); }

static int is_bridge_frame(lua_State *L) {
  lua_CFunction function = lua_tocfunction(L, -1);
  return function == nnl_operate || function == nnl_message_handler || function == nnl_capture;
}

static void put_frame(lua_State *L, nnl_buffer *trace, lua_Debug *record) {
  char line[512];
  if (lua_tocfunction(L, -1) == nnl_dispatch) {
    const char *name = lua_getupvalue(L, -1, 2) ? lua_tostring(L, -1) : NULL;
    snprintf(line, sizeof line, "\n  in %s (engine)", name ? name : "a function of the engine");
    lua_pop(L, 1);
    put_text(trace, line);
    return;
  }
  if (*record->what == 'C') {
    snprintf(line, sizeof line, "\n  in %s", record->name ? record->name : "a library function");
  } else if (*record->what == 'm') {
    snprintf(line, sizeof line, "\n  %s:%d: in the main chunk", record->short_src, record->currentline);
  } else if (record->name) {
    const char *kind = strcmp(record->namewhat, "method") == 0 ? "method" : "function";
    snprintf(line, sizeof line, "\n  %s:%d: in %s '%s'", record->short_src, record->currentline, kind, record->name);
  } else {
    snprintf(
      line, sizeof line, "\n  %s:%d: in a function defined at line %d", record->short_src, record->currentline,
      record->linedefined);
  }
  put_text(trace, line);
}

static int stack_depth(lua_State *L) {
  lua_Debug record;
  int low = 1, high = 1;
  while (lua_getstack(L, high, &record)) {
    low = high;
    high *= 2;
  }
  while (low < high) {
    int middle = (low + high) / 2;
    if (lua_getstack(L, middle, &record)) low = middle + 1;
    else high = middle;
  }
  return high - 1;
}

static void trace_stack(lua_State *L, nnl_buffer *trace) {
  lua_Debug record;
  int last = stack_depth(L);
  for (int level = 1; lua_getstack(L, level, &record); level++) {
    if (level == TRACE_HEAD && last - level > TRACE_TAIL) {
      char line[64];
      snprintf(line, sizeof line, "\n  ... %d more calls", last - TRACE_TAIL - level);
      put_text(trace, line);
      level = last - TRACE_TAIL;
      continue;
    }
    if (!lua_getinfo(L, "Slntf", &record)) return;
    if (!is_bridge_frame(L)) put_frame(L, trace, &record);
    lua_pop(L, 1);
  }
}

// Writes the traceback outside Lua's memory and leaves the error value as it is.
int nnl_message_handler(lua_State *L) {
  nnl_context *context = nnl_of(L);
  context->trace.count = 0;
  luaL_checkstack(L, 8, NULL);
  if (context->carried.count) nnl_append(&context->trace, context->carried.bytes, context->carried.count);
  else put_text(&context->trace, "traceback:");
  context->carried.count = 0;
  trace_stack(L, &context->trace);
  if (context->keeping_locals) nnl_keep_locals(L, 0);
  lua_settop(L, 1);
  return 1;
}

// MARK: locals of a session's chunk

// Copies the locals of the frame at `level` (0: of the session's chunk, wherever it is) to the globals.
void nnl_keep_locals(lua_State *L, int level) {
  lua_Debug record;
  luaL_checkstack(L, 6, NULL);
  if (level == 0) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_chunk);
    for (level = 1; lua_getstack(L, level, &record); level++) {
      lua_getinfo(L, "f", &record);
      int found = lua_rawequal(L, -1, -2);
      lua_pop(L, 1);
      if (found) break;
    }
    lua_pop(L, 1);
  }
  if (!lua_getstack(L, level, &record)) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  const char *name;
  for (int i = 1; (name = lua_getlocal(L, &record, i)); i++) {
    if (*name == '(') {
      lua_pop(L, 1);
      continue;
    }
    lua_pushstring(L, name);
    lua_insert(L, -2);
    lua_rawset(L, -3);
  }
  lua_pop(L, 1);
}

// The session appends `return CAPTURE(results...)` to an input: called there, it sees the input's locals.
int nnl_capture(lua_State *L) {
  nnl_keep_locals(L, 1);
  return lua_gettop(L);
}
