// The session's own coroutine functions: they keep track of the coroutine that runs, so that an interrupt finds it, and
// they pass an interrupt on to the coroutine that waits.
#include "internal.h"

static lua_State *coroutine_argument(lua_State *L) {
  lua_State *coroutine = lua_tothread(L, 1);
  luaL_argexpected(L, coroutine, 1, "coroutine");
  return coroutine;
}

// Resumes with `count` arguments from the top of L. Returns the number of results on L, or -1 with the error on L.
static int resume(lua_State *L, lua_State *coroutine, int count) {
  nnl_context *context = nnl_of(L);
  if (!lua_checkstack(coroutine, count)) {
    lua_pushliteral(L, "too many arguments to resume");
    return -1;
  }
  lua_xmove(L, coroutine, count);
  lua_State *waiting = context->running;
  context->running = coroutine;
  if (nnl_flagged(context)) nnl_arm(coroutine);
  int results = 0;
  int status = lua_resume(coroutine, L, count, &results);
  context->running = waiting;
  nnl_poll(L, context);
  if (status != LUA_OK && status != LUA_YIELD) {
    lua_xmove(coroutine, L, 1);
    return -1;
  }
  if (!lua_checkstack(L, results + 1)) {
    lua_pop(coroutine, results);
    lua_pushliteral(L, "too many results to resume");
    return -1;
  }
  lua_xmove(coroutine, L, results);
  return results;
}

static int resume_function(lua_State *L) {
  lua_State *coroutine = coroutine_argument(L);
  int results = resume(L, coroutine, lua_gettop(L) - 1);
  if (results < 0) nnl_of(L)->carried.count = 0;
  lua_pushboolean(L, results >= 0);
  if (results < 0) results = 1;
  lua_insert(L, -(results + 1));
  return results + 1;
}

// Closes what a failed coroutine left open; the error at L's top is replaced by one raised meanwhile.
static void reset_failed(lua_State *L, lua_State *coroutine) {
  nnl_context *context = nnl_of(L);
  int status = lua_status(coroutine);
  if (status == LUA_OK || status == LUA_YIELD) return;
  lua_State *waiting = context->running;
  lua_pushvalue(L, -1);
  lua_xmove(L, coroutine, 1);
  context->running = coroutine;
  lua_resetthread(coroutine);
  context->running = waiting;
  nnl_poll(L, context);
  lua_pop(L, 1);
  lua_xmove(coroutine, L, 1);
}

static int resume_wrapped(lua_State *L) {
  lua_State *coroutine = lua_tothread(L, lua_upvalueindex(1));
  int results = resume(L, coroutine, lua_gettop(L));
  if (results >= 0) return results;
  reset_failed(L, coroutine);
  if (lua_type(L, -1) == LUA_TSTRING) {
    luaL_where(L, 1);
    lua_insert(L, -2);
    lua_concat(L, 2);
  }
  return lua_error(L);
}

static int wrap(lua_State *L) {
  luaL_checktype(L, 1, LUA_TFUNCTION);
  lua_State *coroutine = lua_newthread(L);
  lua_pushvalue(L, 1);
  lua_xmove(L, coroutine, 1);
  lua_pushcclosure(L, resume_wrapped, 1);
  return 1;
}

static int yield(lua_State *L) {
  nnl_context *context = nnl_of(L);
  if (!lua_isyieldable(L) && context->running != context->main && context->depth > 0)
    return luaL_error(L, "cannot yield out of a function that the engine called; return a value to it instead");
  return lua_yield(L, lua_gettop(L));
}

// Upvalue: Lua's own coroutine.close, whose `__close` functions run in the coroutine.
static int close_coroutine(lua_State *L) {
  nnl_context *context = nnl_of(L);
  lua_State *coroutine = coroutine_argument(L);
  lua_settop(L, 1);
  lua_pushvalue(L, lua_upvalueindex(1));
  lua_insert(L, 1);
  lua_State *waiting = context->running;
  context->running = coroutine;
  int status = lua_pcall(L, 1, LUA_MULTRET, 0);
  context->running = waiting;
  nnl_poll(L, context);
  return status == LUA_OK ? lua_gettop(L) : lua_error(L);
}

void nnl_open_coroutines(lua_State *L) {
  static const luaL_Reg functions[] = {
    {"resume", resume_function}, {"wrap", wrap}, {"yield", yield}, {NULL, NULL}};
  lua_getglobal(L, "coroutine");
  luaL_setfuncs(L, functions, 0);
  lua_getfield(L, -1, "close");
  lua_pushcclosure(L, close_coroutine, 1);
  lua_setfield(L, -2, "close");
  lua_pop(L, 1);
}
