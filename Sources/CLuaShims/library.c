// The session's own basic functions: protected calls that cannot swallow an interrupt, loading of text only, `print`
// through the host, and a `require` that finds Lua files and nothing else.
#include <string.h>
#include "internal.h"

// Source text accepted by `load`: 64 MiB.
#define SOURCE_LIMIT ((size_t)64 << 20)

// MARK: protected calls

static int finish_call(lua_State *L, int status, lua_KContext skipped) {
  nnl_context *context = nnl_of(L);
  nnl_poll(L, context);
  if (status != LUA_OK && status != LUA_YIELD) {
    context->carried.count = 0; // the error ends here, and its traceback with it
    lua_pushboolean(L, 0);
    lua_pushvalue(L, -2);
    return 2;
  }
  return lua_gettop(L) - (int)skipped;
}

static int protected_call(lua_State *L) {
  luaL_checkany(L, 1);
  lua_pushboolean(L, 1);
  lua_insert(L, 1);
  int status = lua_pcallk(L, lua_gettop(L) - 2, LUA_MULTRET, 0, 0, finish_call);
  return finish_call(L, status, 0);
}

// Upvalue: the handler of xpcall. An interrupt is none of its business: it could loop with hooks switched off.
static int guarded_handler(lua_State *L) {
  if (nnl_flagged(nnl_of(L))) return 1;
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_call(L, lua_gettop(L) - 1, 1);
  return 1;
}

static int protected_call_with_handler(lua_State *L) {
  int count = lua_gettop(L);
  luaL_checktype(L, 2, LUA_TFUNCTION);
  lua_pushvalue(L, 2);
  lua_pushcclosure(L, guarded_handler, 1);
  lua_replace(L, 2); // function, handler, arguments...
  lua_pushboolean(L, 1);
  lua_pushvalue(L, 1);
  lua_rotate(L, 3, 2); // function, handler, true, function, arguments...
  int status = lua_pcallk(L, count - 2, LUA_MULTRET, 2, 2, finish_call);
  return finish_call(L, status, 2);
}

// MARK: loading

static int finish_load(lua_State *L, int status, int environment) {
  if (status != LUA_OK) {
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
  }
  if (environment) {
    lua_pushvalue(L, environment);
    if (!lua_setupvalue(L, -2, 1)) lua_pop(L, 1);
  }
  return 1;
}

// Gathers the pieces that the function at index 1 returns and puts their whole in its place.
static void gather_pieces(lua_State *L, nnl_context *context) {
  lua_newtable(L);
  int pieces = lua_gettop(L);
  size_t total = 0;
  for (lua_Integer i = 1;; i++) {
    nnl_poll(L, context);
    lua_pushvalue(L, 1);
    lua_call(L, 0, 1);
    if (lua_isnil(L, -1)) break;
    if (!lua_isstring(L, -1)) luaL_error(L, "reader function must return a string");
    size_t count;
    lua_tolstring(L, -1, &count);
    if (count == 0) break;
    total += count;
    if (total > SOURCE_LIMIT) luaL_error(L, "source text is longer than %d bytes", (int)SOURCE_LIMIT);
    lua_rawseti(L, pieces, i);
  }
  luaL_Buffer whole;
  luaL_buffinit(L, &whole);
  for (lua_Integer i = 1, n = (lua_Integer)lua_rawlen(L, pieces); i <= n; i++) {
    lua_rawgeti(L, pieces, i);
    luaL_addvalue(&whole);
  }
  luaL_pushresult(&whole);
  lua_replace(L, 1);
}

static int load_chunk(lua_State *L) {
  nnl_context *context = nnl_of(L);
  int has_environment = !lua_isnone(L, 4);
  const char *mode = luaL_optstring(L, 3, "t");
  lua_settop(L, 4);
  const char *name;
  if (lua_isstring(L, 1)) {
    name = luaL_optstring(L, 2, lua_tostring(L, 1));
  } else {
    luaL_checktype(L, 1, LUA_TFUNCTION);
    name = luaL_optstring(L, 2, "=(load)");
    gather_pieces(L, context);
  }
  size_t count;
  const char *source = lua_tolstring(L, 1, &count);
  if (count > SOURCE_LIMIT) return luaL_error(L, "source text is longer than %d bytes", (int)SOURCE_LIMIT);
  if (!strchr(mode, 't')) {
    lua_pushnil(L);
    lua_pushliteral(L, "only text chunks can be loaded here");
    return 2;
  }
  return finish_load(L, luaL_loadbufferx(L, source, count, name, "t"), has_environment ? 4 : 0);
}

static int load_file(lua_State *L) {
  int has_environment = !lua_isnone(L, 3);
  return finish_load(L, luaL_loadfilex(L, luaL_checkstring(L, 1), "t"), has_environment ? 3 : 0);
}

static int finish_file(lua_State *L, int status, lua_KContext unused) {
  (void)status;
  (void)unused;
  return lua_gettop(L) - 1;
}

static int do_file(lua_State *L) {
  const char *path = luaL_checkstring(L, 1);
  lua_settop(L, 1);
  if (luaL_loadfilex(L, path, "t") != LUA_OK) return lua_error(L);
  lua_callk(L, 0, LUA_MULTRET, 0, finish_file);
  return finish_file(L, 0, 0);
}

// A searcher of `require`: Lua files on package.path, as text. Upvalue: package.
static int search_file(lua_State *L) {
  const char *name = luaL_checkstring(L, 1);
  lua_getfield(L, lua_upvalueindex(1), "searchpath");
  lua_pushvalue(L, 1);
  lua_getfield(L, lua_upvalueindex(1), "path");
  lua_call(L, 2, 2);
  if (lua_isnil(L, -2)) return 1; // the text that says where was looked
  lua_pop(L, 1);
  const char *path = lua_tostring(L, -1);
  if (luaL_loadfilex(L, path, "t") != LUA_OK)
    return luaL_error(L, "cannot load module '%s' from '%s':\n\t%s", name, path, lua_tostring(L, -1));
  lua_insert(L, -2);
  return 2;
}

static void open_package(lua_State *L) {
  lua_getglobal(L, "package");
  lua_getfield(L, -1, "searchers");
  lua_pushvalue(L, -2);
  lua_pushcclosure(L, search_file, 1);
  lua_rawseti(L, -2, 2);
  for (int i = 3; i <= 4; i++) {
    lua_pushnil(L);
    lua_rawseti(L, -2, i);
  }
  lua_pop(L, 1);
  lua_pushnil(L);
  lua_setfield(L, -2, "loadlib");
  lua_pushliteral(L, "");
  lua_setfield(L, -2, "cpath");
  lua_pop(L, 1);
}

// MARK: print

static int print_values(lua_State *L) {
  nnl_context *context = nnl_of(L);
  int count = lua_gettop(L);
  luaL_Buffer line;
  luaL_buffinit(L, &line);
  for (int i = 1; i <= count; i++) {
    nnl_poll(L, context);
    if (i > 1) luaL_addchar(&line, '\t');
    luaL_tolstring(L, i, NULL);
    luaL_addvalue(&line);
  }
  luaL_addchar(&line, '\n');
  luaL_pushresult(&line);
  size_t length;
  const char *text = lua_tolstring(L, -1, &length);
  context->host.write(context->host.host, (const uint8_t *)text, length);
  return 0;
}

void nnl_open_library(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"pcall", protected_call}, {"xpcall", protected_call_with_handler}, {"load", load_chunk}, {"loadfile", load_file},
    {"dofile", do_file},       {"print", print_values},                 {NULL, NULL}};
  lua_pushglobaltable(L);
  luaL_setfuncs(L, functions, 0);
  lua_pop(L, 1);
  open_package(L);
}
