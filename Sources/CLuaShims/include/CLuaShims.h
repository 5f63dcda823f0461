// Lua's macros and longjmp, kept away from Swift.
#pragma once
#include <lua5.4/lua.h>
