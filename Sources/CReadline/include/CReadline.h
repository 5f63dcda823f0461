// GNU readline behind a few functions: its mutable globals and its signal handling stay in C.
#pragma once
#include <stdint.h>

/// How reading a line ended.
enum { NNR_LINE = 0, NNR_END = 1, NNR_INTERRUPTED = 2 };

/// Gives the candidates for the text from `*start` to the cursor as a list from nnr_list, or NULL. Offsets are in bytes.
typedef char **(*nnr_completer)(void *context, const char *line, int cursor, int *start);

/// The library's version, such as 8.2.
const char *nnr_version(void);

/// Reads a line; `*line` comes from malloc and may be NULL.
int nnr_read(const char *prompt, char **line);
void nnr_set_completer(nnr_completer completer, void *context);
/// Adds an entry to the history that the arrow keys recall.
void nnr_remember(const char *entry);
void nnr_free(char *line);

/// A list of `count` strings, to be filled and then freed by readline.
char **nnr_list(int count);
void nnr_list_set(char **list, int index, const char *text);
