// GNU readline. Its mutable globals are reached through the accessors below: Swift 6 refuses C globals that are not constant.
#include <stdio.h>
#include <readline/readline.h>
#include <readline/history.h>
