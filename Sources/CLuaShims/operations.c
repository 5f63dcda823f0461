// The protected operations that Swift may ask for.
#include <string.h>
#include "internal.h"

// The name under which a session's rewritten input finds nnl_capture.
#define CAPTURE_NAME "__lunette_capture"

static int encode_from(lua_State *L, int first, nnl_buffer *results, int shallow) {
  for (int i = first, top = lua_gettop(L); i <= top; i++) nnl_encode(L, i, results, shallow);
  lua_pushboolean(L, 0);
  return 1;
}

static int syntax_error(lua_State *L, nnl_buffer *results) {
  nnl_encode(L, -1, results, 0);
  nnl_encode(L, -1, results, 0);
  lua_pushliteral(L, "");
  nnl_encode(L, -1, results, 0);
  lua_pushboolean(L, 1);
  return 1;
}

static int load_text(lua_State *L) {
  size_t count;
  const char *source = luaL_checklstring(L, 1, &count);
  return luaL_loadbufferx(L, source, count, luaL_checkstring(L, 2), "t");
}

// source, name, flags, finisher, arguments...
static int run(lua_State *L, nnl_buffer *results) {
  nnl_context *context = nnl_of(L);
  int count = lua_gettop(L) - 4;
  if (load_text(L) != LUA_OK) return syntax_error(L, results);
  int flags = (int)lua_tointeger(L, 3);
  int keep = flags & NNL_KEEP_LOCALS;
  if (keep) {
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &nnl_key_chunk);
    lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_pushcfunction(L, nnl_capture);
    lua_setfield(L, -2, CAPTURE_NAME);
    lua_pop(L, 1);
  }
  lua_insert(L, 5);
  context->keeping_locals = keep;
  lua_call(L, count, LUA_MULTRET);
  context->keeping_locals = 0;
  if (!lua_isnil(L, 4)) {
    int produced = lua_gettop(L) - 4;
    lua_pushvalue(L, 4);
    lua_insert(L, 5);
    lua_call(L, produced, LUA_MULTRET);
  }
  nnl_run_finalizers(L);
  return encode_from(L, 5, results, 0);
}

static int call(lua_State *L, nnl_buffer *results) {
  lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
  nnl_run_finalizers(L);
  return encode_from(L, 1, results, 0);
}

static void globals_if_nil(lua_State *L) {
  if (!lua_isnil(L, 1)) return;
  lua_rawgeti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
  lua_replace(L, 1);
}

static int keys(lua_State *L, nnl_buffer *results) {
  globals_if_nil(L);
  if (lua_istable(L, 1)) {
    lua_pushnil(L);
    while (lua_next(L, 1)) {
      lua_pop(L, 1);
      nnl_encode(L, -1, results, 1);
    }
  }
  lua_pushboolean(L, 0);
  return 1;
}

static int pin(lua_State *L) {
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_pins);
  lua_pushvalue(L, 1);
  lua_rawseti(L, -2, nnl_reference(L, 1));
  lua_pushboolean(L, 0);
  return 1;
}

static int unpin(lua_State *L) {
  int count = lua_gettop(L);
  lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_pins);
  for (int i = 1; i <= count; i++) {
    lua_pushnil(L);
    lua_rawseti(L, -2, lua_tointeger(L, i));
  }
  lua_pushboolean(L, 0);
  return 1;
}

static int function_info(lua_State *L, nnl_buffer *results) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_Debug record;
  lua_pushvalue(L, 1);
  lua_getinfo(L, ">S", &record);
  lua_pushstring(L, record.source);
  lua_pushstring(L, record.short_src);
  lua_pushinteger(L, record.linedefined);
  lua_pushinteger(L, record.lastlinedefined);
  lua_newtable(L);
  const char *name;
  for (int i = 1; *record.what != 'C' && (name = lua_getupvalue(L, 1, i)); i++) {
    if (strcmp(name, "_ENV") == 0) lua_pop(L, 1);
    else lua_setfield(L, -2, name);
  }
  return encode_from(L, 2, results, 0);
}

int nnl_operate(lua_State *L) {
  nnl_request *work = lua_touserdata(L, 1);
  lua_settop(L, 0);
  nnl_decode_all(L, work->arguments, work->count);
  switch (work->operation) {
  case NNL_RUN: return run(L, work->results);
  case NNL_COMPILE:
    if (load_text(L) != LUA_OK) return syntax_error(L, work->results);
    lua_pushboolean(L, 0);
    return 1;
  case NNL_CALL: return call(L, work->results);
  case NNL_GET:
    globals_if_nil(L);
    lua_gettable(L, 1);
    return encode_from(L, 2, work->results, 1);
  case NNL_SET:
    globals_if_nil(L);
    lua_settable(L, 1);
    lua_pushboolean(L, 0);
    return 1;
  case NNL_KEYS: return keys(L, work->results);
  case NNL_PIN: return pin(L);
  case NNL_UNPIN: return unpin(L);
  case NNL_COLLECT:
    lua_gc(L, LUA_GCCOLLECT);
    nnl_run_finalizers(L);
    lua_pushboolean(L, 0);
    return 1;
  case NNL_DESCRIBE:
    luaL_tolstring(L, 1, NULL);
    return encode_from(L, 2, work->results, 0);
  case NNL_FUNCTION_INFO: return function_info(L, work->results);
  default: return luaL_error(L, "unknown operation %d of the bridge", work->operation);
  }
}

// Protected: leaves the error value (pinned when it is a reference), its text and the traceback in the buffer.
int nnl_report(lua_State *L) {
  nnl_context *context = nnl_of(L);
  nnl_buffer *results = lua_touserdata(L, 2);
  nnl_encode(L, 1, results, 1);
  if (lua_istable(L, 1) || lua_isfunction(L, 1) || lua_isthread(L, 1)) {
    lua_rawgetp(L, LUA_REGISTRYINDEX, &nnl_key_pins);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, nnl_reference(L, 1));
  }
  luaL_tolstring(L, 1, NULL);
  nnl_encode(L, -1, results, 0);
  lua_pushlstring(L, (const char *)context->trace.bytes, context->trace.count);
  nnl_encode(L, -1, results, 0);
  return 0;
}
