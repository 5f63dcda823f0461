// The session's own string and table functions that could run long inside C, where no hook fires: they have a size limit
// and poll the interrupt flag. Patterns are in patterns.c.
#include <string.h>
#include "internal.h"

// Bytes copied between two looks at the interrupt flag: 1 MiB.
#define SLICE ((size_t)1 << 20)

static void check_size(lua_State *L, nnl_context *context, const char *function, lua_Number bytes) {
  if (bytes > (lua_Number)context->string_limit)
    luaL_error(L, "%s would build a string of %f bytes; the limit is %I", function, bytes,
      (lua_Integer)context->string_limit);
}

// string.rep(text, count [, separator])
static int repeat(lua_State *L) {
  nnl_context *context = nnl_of(L);
  size_t length, separator_length;
  const char *text = luaL_checklstring(L, 1, &length);
  lua_Integer count = luaL_checkinteger(L, 2);
  const char *separator = luaL_optlstring(L, 3, "", &separator_length);
  if (count <= 0) {
    lua_pushliteral(L, "");
    return 1;
  }
  check_size(L, context, "string.rep", (lua_Number)(length + separator_length) * (lua_Number)count);
  size_t total = length * (size_t)count + separator_length * (size_t)(count - 1);
  luaL_Buffer result;
  char *at = luaL_buffinitsize(L, &result, total);
  size_t since = 0;
  for (lua_Integer i = 0; i < count && total; i++) {
    if (i > 0 && separator_length) {
      memcpy(at, separator, separator_length);
      at += separator_length;
    }
    memcpy(at, text, length);
    at += length;
    since += length + separator_length;
    if (since > SLICE) {
      nnl_poll(L, context);
      since = 0;
    }
  }
  luaL_pushresultsize(&result, total);
  return 1;
}

// string.format(text, ...): Lua's own, in the upvalue, once its strings are known to be of bearable size.
static int format(lua_State *L) {
  nnl_context *context = nnl_of(L);
  lua_Number total = 0;
  int count = lua_gettop(L);
  for (int i = 1; i <= count; i++)
    if (lua_type(L, i) == LUA_TSTRING) total += (lua_Number)lua_rawlen(L, i);
  // %q writes up to four bytes for one.
  check_size(L, context, "string.format", total);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  if (lua_pcall(L, count, 1, 0) == LUA_OK) return 1;
  nnl_poll(L, context);
  const char *text = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
  if (text && (strncmp(text, "bad arg", 7) == 0 || strncmp(text, "invalid conv", 12) == 0)) {
    luaL_where(L, 1); // Lua's own function sees no Lua caller, so it leaves the position out
    luaL_gsub(L, text, "'?'", "'format'");
    lua_concat(L, 2);
  }
  return lua_error(L);
}

// table.concat(list [, separator [, first [, last]]])
static int concatenate(lua_State *L) {
  nnl_context *context = nnl_of(L);
  luaL_checkany(L, 1);
  size_t separator_length;
  const char *separator = luaL_optlstring(L, 2, "", &separator_length);
  lua_Integer first = luaL_optinteger(L, 3, 1);
  lua_Integer last = lua_isnoneornil(L, 4) ? luaL_len(L, 1) : luaL_checkinteger(L, 4);
  luaL_Buffer result;
  lua_Number total = 0;
  luaL_buffinit(L, &result);
  for (lua_Integer i = first; i <= last; i++) {
    nnl_poll(L, context);
    lua_geti(L, 1, i);
    if (!lua_isstring(L, -1))
      return luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT)i);
    size_t length;
    lua_tolstring(L, -1, &length);
    total += (lua_Number)(length + separator_length);
    check_size(L, context, "table.concat", total);
    luaL_addvalue(&result);
    if (i == last) break; // `last` may be the largest integer
    luaL_addlstring(&result, separator, separator_length);
  }
  luaL_pushresult(&result);
  return 1;
}

static int less(lua_State *L) {
  nnl_poll(L, nnl_of(L));
  lua_pushboolean(L, lua_compare(L, 1, 2, LUA_OPLT));
  return 1;
}

// table.sort(list [, comparison]): Lua's own, in the upvalue, always with a comparison that can be interrupted.
static int sort(lua_State *L) {
  luaL_checkany(L, 1);
  lua_settop(L, 2);
  if (lua_isnil(L, 2)) {
    lua_pushcfunction(L, less);
    lua_replace(L, 2);
  }
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, 2, 0);
  return 0;
}

// table.move(from, first, last, to [, target])
static int move(lua_State *L) {
  nnl_context *context = nnl_of(L);
  lua_Integer first = luaL_checkinteger(L, 2), last = luaL_checkinteger(L, 3), to = luaL_checkinteger(L, 4);
  int target = lua_isnoneornil(L, 5) ? 1 : 5;
  luaL_checkany(L, 1);
  if (last >= first) {
    luaL_argcheck(L, first > 0 || last < LUA_MAXINTEGER + first, 3, "too many elements to move");
    lua_Integer count = last - first + 1;
    luaL_argcheck(L, to <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
    int upwards = to > last || to <= first || target != 1;
    for (lua_Integer i = 0; i < count; i++) {
      nnl_poll(L, context);
      lua_Integer offset = upwards ? i : count - 1 - i;
      lua_geti(L, 1, first + offset);
      lua_seti(L, target, to + offset);
    }
  }
  lua_pushvalue(L, target);
  return 1;
}

static void wrap_original(lua_State *L, const char *name, lua_CFunction function) {
  lua_getfield(L, -1, name);
  lua_pushcclosure(L, function, 1);
  lua_setfield(L, -2, name);
}

static void set(lua_State *L, const char *name, lua_CFunction function) {
  lua_pushcfunction(L, function);
  lua_setfield(L, -2, name);
}

void nnl_open_strings(lua_State *L) {
  lua_getglobal(L, "string");
  set(L, "rep", repeat);
  wrap_original(L, "format", format);
  lua_pushnil(L);
  lua_setfield(L, -2, "dump"); // text chunks only
  lua_pop(L, 1);
  lua_getglobal(L, "table");
  set(L, "concat", concatenate);
  set(L, "move", move);
  wrap_original(L, "sort", sort);
  lua_pop(L, 1);
}
